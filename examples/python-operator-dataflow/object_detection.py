"""Finds what is bright."""

import numpy as np
import pyarrow as pa


class Operator:
    """Sends the box around the bright part of each picture."""

    def on_event(self, dora_event, send_output):
        if dora_event["type"] != "INPUT":
            return
        metadata = dora_event["metadata"]
        picture = dora_event["value"].to_numpy().reshape(metadata["height"], metadata["width"])
        rows, columns = np.nonzero(picture > 128)
        box = [columns.min(), rows.min(), columns.max(), rows.max()]
        send_output("bbox", pa.array(box, pa.int64()), {"number": metadata["number"]})
