"""Doubles what comes in."""

import pyarrow.compute as pc
from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        node.send_output("doubled", pc.multiply(event["value"], 2), event["metadata"])
    elif event["type"] == "STOP":
        break
