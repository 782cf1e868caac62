"""Adds up what the counters send."""

from dora import Node

node = Node()
totals = {}
for event in node:
    if event["type"] == "INPUT":
        totals[event["id"]] = totals.get(event["id"], 0) + event["value"][0].as_py()
    elif event["type"] == "STOP":
        break
for name in sorted(totals):
    print(f"{name}: {totals[name]}")
