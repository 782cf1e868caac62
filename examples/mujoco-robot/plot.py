"""The picture of the run: writes down what the others say, and draws it at the end.

Where the picture goes: `ROBOT_PICTURE`, otherwise `out/robot.png` beside this file.
"""

import os
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
matplotlib.set_loglevel("warning")  # `Node()` hands all logging on, and a look for a font is a hundred lines

from dora import Node

from picture import Run, draw


def main():
    default = Path(__file__).resolve().parent / "out" / "robot.png"
    path = Path(os.environ.get("ROBOT_PICTURE") or default)
    path.parent.mkdir(parents=True, exist_ok=True)
    run = Run()
    node = Node()
    while (event := node.next()) is not None:
        if event["type"] == "STOP":
            break
        if event["type"] != "INPUT":
            continue
        value = event["value"].to_numpy()
        if event["id"] == "trace":
            run.add_trace(value)
        elif event["id"] == "pose":
            run.add_pose(value)
        elif event["id"] == "faces":
            run.add_faces(value, event["metadata"])
    if run.is_empty():
        print("nothing came: no picture")
        return
    draw(run, path)
    print(f"picture: {path}", flush=True)


if __name__ == "__main__":
    main()
