"""Counts states and says when the motor is hot."""

import pyarrow as pa
from dora import Node

node = Node()
states = 0
for event in node:
    if event["type"] == "INPUT" and event["id"] == "state":
        states += 1
        last = event["value"][0].as_py()
    elif event["type"] == "INPUT" and event["id"] == "temperature":
        temperature = event["value"][0].as_py()
        if temperature > 68:
            node.send_output("alarm", pa.array([f"motor at {temperature:.0f} degrees"]))
    elif event["type"] == "STOP":
        break
print(f"{states} states, the last with the {last['joints'][0]['name']} at {last['joints'][0]['angle']:.2f}")
