"""Sends back what it gets, with its metadata."""

from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        node.send_output("back", event["value"], event["metadata"])
