"""Receives the log entries of the processor as messages, and reacts to them."""

import json

from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        entry = json.loads(event["value"][0].as_py())
        print(f"{entry['node_id']} says {entry['level']}: {entry['message']}")
    elif event["type"] == "STOP":
        break
