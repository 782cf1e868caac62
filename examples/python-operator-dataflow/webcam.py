"""A camera that needs no camera: a bright square wanders over a dark picture."""

import numpy as np
import pyarrow as pa
from dora import DoraStatus

WIDTH, HEIGHT, SQUARE = 64, 48, 8
PICTURES = 20


class Operator:
    """Sends a picture per tick."""

    def __init__(self):
        self.pictures = 0

    def on_event(self, dora_event, send_output):
        if dora_event["type"] != "INPUT":
            return DoraStatus.CONTINUE
        picture = np.zeros((HEIGHT, WIDTH), np.uint8)
        left = 2 * self.pictures
        picture[10 : 10 + SQUARE, left : left + SQUARE] = 255
        send_output("image", pa.array(picture.ravel()), {"width": WIDTH, "height": HEIGHT, "number": self.pictures})
        self.pictures += 1
        return DoraStatus.STOP if self.pictures == PICTURES else DoraStatus.CONTINUE
