"""Passes every array on, with its metadata."""

from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        node.send_output("array", event["value"], event["metadata"])
