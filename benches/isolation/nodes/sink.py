"""Takes what the hog sends and reads every byte of it."""

from dora import Node

for event in Node():
    if event["type"] == "INPUT":
        event["value"].to_numpy().sum()
    elif event["type"] == "STOP":
        break
