"""Takes each message and reads its stamp: how long it was on its way, in nanoseconds."""

import time

import common

common.core()
from dora import Node  # noqa: E402


def main():
    node = Node()
    latencies = []
    for event in node:
        if event["type"] == "INPUT":
            stamp = event["value"][0].as_py()
            latencies.append(time.perf_counter_ns() - stamp)
        elif event["type"] in ("INPUT_CLOSED", "STOP"):
            break
    common.write({"received": len(latencies), "latencies": latencies})


main()
