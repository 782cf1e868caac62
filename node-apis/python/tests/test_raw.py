"""`send_output_raw`: a message is written where its readers will see it, sent once, and not touched afterwards."""

import sys

import pytest

FLOW = """
nodes:
  - id: test
    path: test.py
    inputs: {back: {source: test/out, queue_size: 1000}}
    outputs: [out]
"""

needs_buffers = pytest.mark.skipif(
    sys.version_info < (3, 9), reason="interpreters before 3.9 cannot export buffers through the stable ABI"
)


@needs_buffers
def test_a_message_is_written_in_place_and_sent_at_the_end_of_the_block(run_dataflow):
    ended = run_dataflow(
        FLOW,
        {
            "test.py": """
import numpy as np
import pyarrow as pa
from dora import Node

node = Node()
for size in (0, 1, 64, 65, 4096, 1_000_000):
    with node.send_output_raw("out", size, {"n": size}) as view:
        assert isinstance(view, memoryview) and not view.readonly
        assert (view.nbytes, view.format, view.ndim) == (size, "B", 1), (view.nbytes, view.format)
        view[:] = bytes(n % 251 for n in range(size))
    event = node.next(timeout=60)
    assert event["metadata"]["n"] == size
    assert event["value"].type == pa.uint8() and len(event["value"]) == size
    assert (event["value"].to_numpy() == np.arange(size) % 251).all(), size
    try:
        view[:]
        raise AssertionError("the view can still be used")
    except ValueError:
        pass

handler = node.send_output_raw("out", 8)
assert len(handler) == 8
floats = np.frombuffer(handler.as_buffer(), np.float64)
floats[0] = 0.5
del floats
handler.send()
assert node.next(timeout=60)["value"].to_numpy().view(np.float64) == [0.5]
""",
        },
    )
    assert ended.code == 0, repr(ended)
    sent = ended.report["nodes"][0]["outputs"][0]
    assert sent["copied"] == 0, f"a payload was copied: {sent}"


@needs_buffers
def test_what_was_sent_is_out_of_reach_and_what_is_in_reach_is_not_sent(run_dataflow):
    ended = run_dataflow(
        FLOW,
        {
            "test.py": """
import gc
import numpy as np
from dora import Node

node = Node()

def raises(error, call, *words):
    try:
        call()
    except error as raised:
        missing = [word for word in words if word not in str(raised)]
        assert not missing, f"{raised!r} does not say {missing}"
        return
    raise AssertionError(f"no {error.__name__}")

# A view in use is in the way, and stays good.
handler = node.send_output_raw("out", 16)
first, second = handler.as_memoryview(), np.frombuffer(handler.as_buffer(), np.uint8)
raises(BufferError, handler.send, "out", "2 views")
first.release()
raises(BufferError, handler.send, "1 view")
second[:] = 7
assert node.is_empty(), "it was sent all the same"
del second
buffer = handler.as_buffer()
handler.send()
assert node.next(timeout=60)["value"].to_pylist() == [7] * 16
# Once, and no new views.
raises(RuntimeError, handler.send, "out", "before")
raises(BufferError, handler.as_memoryview, "sent")
raises(BufferError, handler.as_buffer, "sent")
raises(BufferError, lambda: memoryview(buffer), "sent")

# An exception in the block throws the message away, and comes out.
def failing():
    with node.send_output_raw("out", 16) as view:
        view[:4] = b"half"
        raise KeyError("stop")
raises(KeyError, failing, "stop")
assert node.is_empty(), "a half-written message was sent"

# A view that leaves the block is in the way too.
def leaking():
    with node.send_output_raw("out", 16) as view:
        kept.append(np.frombuffer(view, np.uint8))
kept = []
raises(BufferError, leaking, "out", "1 view")
kept[0][:] = 1
assert node.is_empty()

# Nobody sends what is dropped; its memory comes back.
for _ in range(3000):
    node.send_output_raw("out", 100_000)
view = node.send_output_raw("out", 5).as_memoryview()
gc.collect()
view[:] = b"alive"
assert bytes(view) == b"alive" and node.is_empty()

# Undeclared outputs can be written, and are ignored.
with node.send_output_raw("nowhere", 3) as ignored:
    ignored[:] = b"abc"
assert node.is_empty()
raises(TypeError, lambda: node.send_output_raw("out", 5, {"k": None}), "out", "k")
raises(RuntimeError, lambda: node.send_output_raw("out", 1 << 60), "out")
raises(OverflowError, lambda: node.send_output_raw("out", -1))
""",
        },
    )
    assert ended.code == 0, repr(ended)
    assert len([line for line in ended.of("test", "warn") if "nowhere" in line]) == 1, repr(ended)


@pytest.mark.skipif(sys.version_info >= (3, 9), reason="what interpreters before 3.9 say")
def test_an_old_interpreter_says_what_it_needs(run_dataflow):
    source = """
from dora import Node
try:
    Node().send_output_raw("out", 5).as_memoryview()
except NotImplementedError as raised:
    assert "3.9" in str(raised)
else:
    raise AssertionError("it works")
"""
    assert run_dataflow(FLOW, {"test.py": source}).code == 0
