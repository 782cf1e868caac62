"""Sends back whatever it gets: on the output with the name of the input, with the same metadata."""

from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        node.send_output(event["id"], event["value"], event["metadata"])
    elif event["type"] == "STOP":
        break
