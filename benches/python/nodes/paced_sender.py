"""Sends a message per period, at absolute times, stamped just before it is sent."""

import time

import common

common.core()
from dora import Node  # noqa: E402  (its threads shall be on the core, too)


def main():
    count, period = common.number("BENCH_COUNT"), common.number("BENCH_PERIOD_NS")
    message = common.Message(common.number("BENCH_SIZE"))
    node = Node()
    late = 0
    due = time.perf_counter_ns() + period
    for n in range(count):
        left = due - time.perf_counter_ns()
        if left > 0:
            time.sleep(left / 1e9)
        elif left < -period:
            # Whole periods passed: no burst to make up for them.
            late += 1
            due = time.perf_counter_ns()
        node.send_output("data", message.array(time.perf_counter_ns(), n))
        due += period
    common.write({"sent": count, "late": late})


main()
