"""Sends a number every 10 ms, fifty in all."""

import pyarrow as pa
from dora import Node

node = Node()
sent = 0
for event in node:
    if event["type"] == "INPUT":
        node.send_output("number", pa.array([sent]))
        sent += 1
        if sent == 50:
            break
    elif event["type"] == "STOP":
        break
