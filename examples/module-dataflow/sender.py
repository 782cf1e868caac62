"""Sends a hundred numbers as fast as it can, and ends."""

import pyarrow as pa
from dora import Node

node = Node()
for i in range(100):
    node.send_output("value", pa.array([i], pa.int64()))
print("sent 100 numbers")
