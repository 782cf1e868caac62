"""Takes the arrays of a message apart again, without copying them."""

import numpy as np
from dora import Node


def array(event, name):
    """A view of the memory of the message, in the shape that it was sent in."""
    flat = event["value"].field(name).flatten().to_numpy(zero_copy_only=True)
    return flat.reshape(event["metadata"][f"shape_{name}"])


def main():
    node = Node()
    for event in node:
        if event["type"] == "INPUT":
            frame = event["metadata"]["frame"]
            left, right, state = (array(event, name) for name in ("left", "right", "state"))
            assert np.all(left == frame) and np.all(right == 100 + frame)
            print(
                f"frame {frame}: left {left.shape} {left.dtype}, right {right.shape} {right.dtype},"
                f" state {state.tolist()}"
            )
        elif event["type"] == "STOP":
            break


main()
