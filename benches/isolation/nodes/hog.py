"""A Python node as bad as they come: never lets go of the GIL while it computes, takes hundreds of MB anew for each
message, and sends 5 MB six times per second.

A second thread counts how often it got the GIL, which shows at the end that the first one held it.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from dora import Node

#: Bytes taken, written and given back per message.
ALLOCATED = 200 << 20
#: Bytes sent per message, six times per second.
SENT = 5_000_000
#: Seconds in which nothing but Python code runs.
COMPUTES = 0.03
PAGE = 4096

turns = 0


def other_thread():
    """Wants the GIL all the time."""
    global turns
    while True:
        turns += 1
        time.sleep(0)


def compute():
    """Pure Python: the GIL is never free."""
    end = time.perf_counter() + COMPUTES
    before = turns
    while time.perf_counter() < end:
        sum(range(100))
    return turns == before


def main():
    # A thread that waits for the GIL asks for it after this time: longer than anything here takes.
    sys.setswitchinterval(10)
    threading.Thread(target=other_thread, daemon=True).start()
    values = np.zeros(SENT, np.uint8)
    node = Node()
    messages = held = 0
    start = None
    for event in node:
        if event["type"] == "INPUT":
            start = start or time.monotonic()
            memory = bytearray(ALLOCATED)
            memory[::PAGE] = bytes([1]) * len(range(0, ALLOCATED, PAGE))
            held += compute()
            node.send_output("data", pa.array(values))
            messages += 1
            del memory
        elif event["type"] == "STOP":
            break
    seconds = time.monotonic() - start if start else 0
    result = {"messages": messages, "sent": messages * SENT, "allocated": messages * ALLOCATED, "held": held}
    result["seconds"] = seconds
    Path(os.environ["BENCH_RESULT"]).write_text(json.dumps(result), encoding="ascii")


main()
