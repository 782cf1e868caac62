"""The nuisance, an honest one: looks for faces in photographs, as fast as it is let.

Each picture is scaled anew, so that no two in a row are the same. One photograph in five shows a person who looks into
the camera (detect.py).

    faces   x, y, width, height of each face, in pixels of the picture; with the metadata photo, scale, width, height and ms
"""

import itertools

import cv2
import pyarrow as pa
from dora import Node

from detect import PERSON, PHOTOS, Detector

SCALES = (1.0, 0.8, 1.2, 0.9, 1.1)


def main():
    # One core is what it gets; more threads would only wait for each other there.
    cv2.setNumThreads(1)
    detector = Detector()
    pictures = itertools.cycle(itertools.product(SCALES, PHOTOS))
    looked = shown = seen = mistaken = 0
    busy = 0.0
    node = Node()
    while (event := node.next()) is not None:
        if event["type"] == "STOP":
            break
        if event["type"] != "INPUT":
            continue
        scale, name = next(pictures)
        faces, (height, width), ms = detector.find(name, scale)
        looked, busy = looked + 1, busy + ms
        if name == PERSON:
            shown += 1
            seen += len(faces) > 0
        else:
            mistaken += len(faces) > 0
        where = {"photo": name, "scale": scale, "width": width, "height": height, "ms": ms}
        node.send_output("faces", pa.array(faces.ravel()), where)
    mean = busy / max(looked, 1)
    print(
        f"{looked} photographs, {mean:.0f} ms each; the astronaut's face found in {seen} of {shown}, "
        f"{mistaken} faces where there are none",
        flush=True,
    )


if __name__ == "__main__":
    main()
