"""Doubles what comes in and passes its metadata on."""

import pyarrow.compute as pc
from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        node.send_output("transformed", pc.multiply(event["value"], 2), event["metadata"])
    elif event["type"] == "STOP":
        break
