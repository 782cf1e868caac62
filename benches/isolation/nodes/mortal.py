"""Says who it is, passes on what it hears, and is killed in the middle of it."""

import os
from pathlib import Path

import pyarrow as pa
from dora import Node

node = Node()
Path(os.environ["BENCH_PID"]).write_text(str(os.getpid()), encoding="ascii")
for event in node:
    if event["type"] == "STOP":
        break
    if event["type"] == "INPUT" and event["id"] == "tick":
        node.send_output("data", pa.array(range(1000)))
