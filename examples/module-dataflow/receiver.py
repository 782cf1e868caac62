"""Prints what the module lets through."""

from dora import Node

node = Node()
count = 0
for event in node:
    if event["type"] == "INPUT":
        print(f"got {event['value'][0].as_py()}")
        count += 1
    elif event["type"] == "STOP":
        break
print(f"{count} of 100 came through")
