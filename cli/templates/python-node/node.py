"""Counts: sends the number of ticks so far on every tick, until the dataflow stops."""

import pyarrow as pa
from dora import Node


def run(node):
    """Returns the number of ticks."""
    ticks = 0
    for event in node:
        if event["type"] == "INPUT" and event["id"] == "tick":
            ticks += 1
            node.send_output("count", pa.array([ticks], pa.uint64()))
        elif event["type"] == "STOP":
            break
    return ticks


if __name__ == "__main__":
    print(f"counted {run(Node())} ticks")
