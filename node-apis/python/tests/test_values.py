"""Arrays of every Arrow type come through a dataflow as they were, without a copy, and may be kept."""

from pathlib import Path

NODES = Path(__file__).parent / "nodes"


def sources(*names):
    return {name: (NODES / name).read_text(encoding="utf-8") for name in names}


def test_every_arrow_type_comes_back_as_it_was_sent(run_dataflow):
    flow = """
nodes:
  - id: test
    path: round_trip.py
    inputs: {back: {source: echo/back, queue_size: 100}}
    outputs: [there]
  - id: echo
    path: echo.py
    inputs: {there: {source: test/there, queue_size: 100}}
    outputs: [back]
"""
    ended = run_dataflow(flow, sources("round_trip.py", "echo.py", "arrow_arrays.py"))
    assert ended.code == 0, ended
    assert "all came back" in ended.of("test", "info")


def test_ten_thousand_large_messages_do_not_grow_either_node(run_dataflow):
    flow = """
nodes:
  - id: source
    path: source.py
    outputs: [out]
  - id: test
    path: test.py
    inputs: {x: {source: source/out, queue_size: 10, queue_policy: backpressure}}
"""
    memory = """
def megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

def check(now, start):
    assert now - start < 100, f"{now - start} MB more after 8,000 messages of 1 MB"
"""
    source = """
import numpy as np
import pyarrow as pa
from dora import Node
from memory import check, megabytes

node = Node()
values = np.zeros(1_000_000, np.uint8)
for n in range(10_000):
    values[0] = n % 256
    node.send_output("out", pa.array(values), {"n": n})
    if n == 2_000:
        start = megabytes()
check(megabytes(), start)
"""
    test = """
from dora import Node
from memory import check, megabytes

count = 0
for event in Node():
    if event["type"] == "INPUT":
        value = event["value"].to_numpy()
        assert event["metadata"]["n"] == count and value[0] == count % 256 and len(value) == 1_000_000
        count += 1
        if count == 2_000:
            start = megabytes()
assert count == 10_000, f"only {count} came"
check(megabytes(), start)
"""
    ended = run_dataflow(flow, {"memory.py": memory, "source.py": source, "test.py": test})
    assert ended.code == 0, repr(ended)
