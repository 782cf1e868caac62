"""Says hello on every tick, until the dataflow stops."""

import sys

import pyarrow as pa
from dora import Node


def run(node, name):
    """Returns how often it said hello."""
    said = 0
    for event in node:
        if event["type"] == "INPUT" and event["id"] == "tick":
            said += 1
            node.send_output("speech", pa.array([f"hello {said} from {name}"]))
        elif event["type"] == "STOP":
            break
    return said


if __name__ == "__main__":
    run(Node(), sys.argv[1])
