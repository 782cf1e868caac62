"""Prints alarms."""

from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        print(f"alarm: {event['value'][0].as_py()}")
    elif event["type"] == "STOP":
        break
