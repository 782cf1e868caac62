"""A Python node, however slow, never delays a native one: a native 1 kHz loop beside a node that holds the GIL.

No clock decides here. The Python node reads an output of the loop, and holds the GIL for seconds with messages waiting; the
numbers below would be others if anything in the loop waited for it, or shared a queue with it. How punctual the loop is with
such a neighbour and without is measured by benches/isolation/.
"""

import os
from pathlib import Path

import pytest

#: Seconds in which the Python node does nothing but compute, in one go.
HELD = 2
#: Messages of 3 MB that it sends to another Python node.
SENT = 20
#: The queues of the loop hold more than a run can send: whatever is lost there was not lost for want of room.
FLOW = """
nodes:
  - id: plant
    path: {programs}/pendulum-plant
    rt: {{ policy: fifo, priority: 70 }}
    inputs: {{ tick: dora/timer/micros/1000, force: {{ source: controller/force, queue_size: 10000 }} }}
    outputs: [state, pose]
  - id: controller
    path: {programs}/pendulum-controller
    rt: {{ policy: fifo, priority: 80 }}
    inputs: {{ state: {{ source: plant/state, queue_size: 10000 }} }}
    outputs: [force]
  - id: hog
    path: hog.py
    inputs: {{ state: {{ source: plant/state, queue_size: 4 }} }}
    outputs: [data]
  - id: sink
    path: sink.py
    inputs: {{ data: {{ source: hog/data, queue_policy: backpressure }} }}
"""
HOG = f"""
import os
import signal
import sys
import threading
import time
import pyarrow as pa
from dora import Node

sys.setswitchinterval(1000)
turns = 0

def other_thread():
    global turns
    while True:
        turns += 1
        time.sleep(0)

threading.Thread(target=other_thread, daemon=True).start()
node = Node()
assert node.next(timeout=60)["type"] == "INPUT"
memory = bytearray(b"x") * (200 << 20)
before, end = turns, time.monotonic() + {HELD}
while time.monotonic() < end:
    sum(range(1000))
assert turns == before, "another thread ran: the GIL was not held"
values = pa.Array.from_buffers(pa.uint8(), 3_000_000, [None, pa.py_buffer(memory)])
for _ in range({SENT}):
    node.send_output("data", values)
# The loop goes on and its states come.
assert all(node.next(timeout=60)["type"] == "INPUT" for _ in range(50))
print("done")
# Stops the dataflow, as Ctrl-C does.
os.kill(os.getppid(), signal.SIGINT)
"""
SINK = """
from dora import Node
sizes = [event["value"].nbytes for event in Node() if event["type"] == "INPUT"]
print(len(sizes), "messages,", sum(sizes), "bytes")
"""


@pytest.fixture
def programs():
    """Where the native nodes are."""
    folder = os.environ.get("DORA_NATIVE_NODES")
    if not folder:
        pytest.skip("needs DORA_NATIVE_NODES, the folder of pendulum-plant and pendulum-controller")
    return Path(folder).resolve()


def test_native_loop_goes_on_and_loses_nothing_while_a_python_reader_of_its_output_holds_the_gil(programs, run_dataflow):
    sources = {"hog.py": HOG, "sink.py": SINK}
    run = run_dataflow(FLOW.format(programs=programs), sources, "--rt=best-effort", "--stop-after", "150s")
    assert run.code == 0, run
    assert run.of("hog", "stdout") == ["done"], run
    assert run.of("sink", "stdout") == [f"{SENT} messages, {SENT * 3_000_000} bytes"], run
    for edge in run.report["edges"]:
        accounted = edge["taken"] + edge["overwritten"] + edge["flushed"] + edge["queued"]
        assert edge["sent"] == accounted and not edge["broken"], edge

    # A tenth of the rate is enough: on a busy machine without rights ticks are late, and late ones become one.
    least = HELD * 1000 / 10
    slow = run.edge("hog/state")
    assert slow["overwritten"] >= least, f"the loop sent nothing while the GIL was held: {slow}"
    for to in ("controller/state", "plant/force"):
        edge = run.edge(to)
        assert edge["overwritten"] == edge["flushed"] == 0, f"the loop lost something to the slow reader: {edge}"
        assert edge["taken"] >= slow["overwritten"], f"the loop stood still while the GIL was held: {edge}"
    (plant,) = (node for node in run.report["nodes"] if node["node"] == "plant")
    (state,) = (output for output in plant["outputs"] if output["output"] == "state")
    assert state["blocked"] == state["no_slot"] == 0, f"the plant waited for its slow reader: {state}"
