"""Sends a message, waits for its echo, and so on: half of each round trip, in nanoseconds."""

import time

import common

common.core()
from dora import Node  # noqa: E402


def main():
    count = common.number("BENCH_COUNT")
    message = common.Message(common.number("BENCH_SIZE"))
    node = Node()
    halves = []
    for n in range(count):
        start = time.perf_counter_ns()
        node.send_output("data", message.array(start, n))
        event = node.next(timeout=60)
        if event is None or event["type"] != "INPUT":
            raise RuntimeError(f"no echo of message {n}: {event}")
        halves.append((time.perf_counter_ns() - start) / 2)
    common.write({"latencies": halves})


main()
