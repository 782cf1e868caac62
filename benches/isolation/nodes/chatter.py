"""Writes 100 MB of log lines per second, or as many as are taken from it."""

import json
import os
import sys
import time
from pathlib import Path

from dora import Node

RATE = 100_000_000
LINE = b"a line of a log that nobody wants to read, and that says the same as the one before it ".ljust(199, b".") + b"\n"
CHUNK = LINE * (1_000_000 // len(LINE))

node = Node()
start = time.monotonic()
written = 0
while True:
    event = node.try_recv()
    if event is not None and event["type"] == "STOP":
        break
    ahead = written / RATE - (time.monotonic() - start)
    if ahead > 0:
        time.sleep(ahead)
    sys.stdout.buffer.write(CHUNK)
    sys.stdout.buffer.flush()
    written += len(CHUNK)
seconds = time.monotonic() - start
Path(os.environ["BENCH_RESULT"]).write_text(json.dumps({"bytes": written, "seconds": seconds}), encoding="ascii")
