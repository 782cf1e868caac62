"""Sends one message as soon as it can."""

import pyarrow as pa
from dora import Node

node = Node()
node.send_output("data", pa.array([1], pa.uint8()))
