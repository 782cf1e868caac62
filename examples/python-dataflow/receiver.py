"""Prints every message from both nodes before it, and how many there were."""

from collections import Counter

from dora import Node

node = Node()
seen = Counter()
for event in node:
    if event["type"] == "INPUT":
        print(f"Got {event['id']}: {event['value'].to_pylist()}")
        seen[event["id"]] += 1
    elif event["type"] == "STOP":
        break
print(f"{seen['message']} messages and {seen['transformed']} transformed ones")
