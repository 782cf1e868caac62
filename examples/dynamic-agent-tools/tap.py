"""Shows what flows: connect any output to any input of it."""

from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        print(event["id"], event["value"].to_pylist(), event["metadata"])
    elif event["type"] == "STOP":
        break
