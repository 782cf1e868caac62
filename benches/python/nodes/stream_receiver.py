"""Counts what really arrives: how many, which are missing in between, when the last came. Notes its memory as the sender does.

It may pause on its first message, so that the queue is full once before memory is looked at.
"""

import time

import common

common.core()
from dora import Node  # noqa: E402


def main():
    warm_up, pause = common.number("BENCH_WARM_UP"), common.number("BENCH_PAUSE_MS")
    node = Node()
    received = gaps = expected = last = 0
    warm = end = None
    for event in node:
        if event["type"] == "INPUT":
            count = event["value"][1].as_py()
            gaps += count - expected
            expected = count + 1
            received += 1
            last = time.perf_counter_ns()
            if received == 1:
                time.sleep(pause / 1000)
            if warm is None and count >= warm_up:
                warm = common.memory()
        elif event["type"] in ("INPUT_CLOSED", "STOP"):
            end = common.memory()
            break
    common.write({"received": received, "gaps": gaps, "last": last, "warm": warm, "end": end})


main()
