"""Sends one request and ends."""

import os

import pyarrow as pa
from dora import Node

node = Node()
node.send_service_request("value", pa.array([os.environ["REQUEST"]]))
