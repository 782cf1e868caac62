"""Faces in photographs: OpenCV's cascade classifier, with its own trained cascade, on photographs of scikit-image."""

import time
from pathlib import Path

import cv2
import numpy as np
import skimage

PHOTOS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "camera.png")
PERSON = "astronaut.png"
NEIGHBOURS = 8
"""So many overlapping finds make a face; fewer find one in the fur of a cat."""


def photograph(name):
    """One of the photographs that ship inside scikit-image, in grey. Nothing is downloaded."""
    path = Path(skimage.__file__).parent / "data" / name
    photo = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if photo is None:
        raise SystemExit(f"scikit-image {skimage.__version__} does not ship the photograph {path}")
    return photo


class Detector:
    """Grey photographs, and what finds faces in them."""

    def __init__(self):
        if not hasattr(cv2, "CascadeClassifier"):
            raise SystemExit(f"OpenCV {cv2.__version__} has no cascade classifier: pip install -r requirements.txt")
        cascade = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
        self.classifier = cv2.CascadeClassifier(str(cascade))
        if self.classifier.empty():
            raise SystemExit(f"cannot read the cascade {cascade}")
        self.photos = {name: photograph(name) for name in PHOTOS}

    def find(self, name, scale):
        """`(faces, shape, ms)`: one row of x, y, width, height per face; height and width of the picture; time it took."""
        picture = cv2.resize(self.photos[name], None, fx=scale, fy=scale)
        start = time.perf_counter()
        found = self.classifier.detectMultiScale(picture, scaleFactor=1.1, minNeighbors=NEIGHBOURS)
        return np.array(found, dtype=np.int32).reshape(-1, 4), picture.shape, (time.perf_counter() - start) * 1000
