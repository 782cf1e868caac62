"""Sends message after message, as fast as it may. Notes its memory after the warm-up and at the end.

It stays for a while after the last message: what is on its way shall not be lost because it went.
"""

import time

import common

common.core()
from dora import Node  # noqa: E402


def main():
    count, warm_up = common.number("BENCH_COUNT"), common.number("BENCH_WARM_UP")
    message = common.Message(common.number("BENCH_SIZE"))
    node = Node()
    warm = None
    start = time.perf_counter_ns()
    for n in range(count):
        if n == warm_up:
            warm = common.memory()
        node.send_output("data", message.array(0, n))
    common.write({"sent": count, "start": start, "warm": warm, "end": common.memory()})
    time.sleep(common.number("BENCH_LINGER_MS") / 1000)


main()
