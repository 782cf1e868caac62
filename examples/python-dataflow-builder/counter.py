"""Counts to `$COUNT`."""

import os

import pyarrow as pa
from dora import Node

node = Node()
count = 0
for event in node:
    if event["type"] == "INPUT":
        count += 1
        node.send_output("count", pa.array([count]))
        if count == int(os.environ["COUNT"]):
            break
    elif event["type"] == "STOP":
        break
