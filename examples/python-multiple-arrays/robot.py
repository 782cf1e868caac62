"""Sends two camera images and the joint positions in one message, ten times."""

import numpy as np
import pyarrow as pa
from dora import Node


def observation(frame):
    return {
        "left": np.full((480, 640, 3), frame, dtype=np.uint8),
        "right": np.full((480, 640, 3), 100 + frame, dtype=np.uint8),
        "state": np.arange(6, dtype=np.float64).reshape(1, 6) + frame,
    }


def one_row(arrays):
    """A struct array with one row; each numpy array is a flat list in it. Nothing goes through Python objects."""
    columns = [pa.ListArray.from_arrays([0, array.size], pa.array(array.ravel())) for array in arrays.values()]
    return pa.StructArray.from_arrays(columns, names=list(arrays))


def main():
    node = Node()
    frame = 0
    for event in node:
        if event["type"] == "INPUT":
            arrays = observation(frame)
            # Arrow lists are flat: the shapes travel beside them.
            shapes = {f"shape_{name}": list(array.shape) for name, array in arrays.items()}
            node.send_output("observation", one_row(arrays), {"frame": frame, **shapes})
            frame += 1
            if frame == 10:
                break
        elif event["type"] == "STOP":
            break


main()
