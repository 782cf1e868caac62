"""What a node can do and what it is told when it does something wrong. The sources of the nodes assert; a failed assertion
fails the run."""

import subprocess
import sys

import pytest

#: A node that reads what it sends.
LOOP = """
nodes:
  - id: test
    path: test.py
    inputs: {back: {source: test/out, queue_size: 1000}}
    outputs: [out]
"""

#: A node that gets one message, or several.
PAIR = """
nodes:
  - id: source
    path: source.py
    outputs: [out]
  - id: test
    path: test.py
    inputs: {x: {source: source/out, queue_size: 1000}}
"""


def passes(run_dataflow, yaml, **sources):
    ended = run_dataflow(yaml, {f"{name}.py": source for name, source in sources.items()})
    assert ended.code == 0, repr(ended)
    return ended


def test_a_node_knows_who_it_is(run_dataflow):
    passes(
        run_dataflow,
        LOOP,
        test="""
import uuid
from datetime import datetime, timedelta, timezone
from dora import Node

node = Node()
uuid.UUID(node.dataflow_id())
config = node.node_config()
assert list(config["inputs"]) == ["back"] and config["outputs"] == ["out"], config
descriptor = node.dataflow_descriptor()
assert descriptor["nodes"][0]["id"] == "test", descriptor
assert node.is_restart() is False and node.restart_count() == 0
first, second = node.timestamp(), node.timestamp()
assert first.tzinfo == timezone.utc and first <= second, (first, second)
assert abs(datetime.now(timezone.utc) - first) < timedelta(minutes=1), first
assert "test" in repr(node) and node.dataflow_id() in repr(node)
""",
    )


def test_event_dictionaries_have_exactly_the_documented_keys(run_dataflow):
    passes(
        run_dataflow,
        PAIR,
        source="""
import pyarrow as pa
from dora import Node
Node().send_output("out", pa.array([1, 2]), {"a": 1})
""",
        test="""
from datetime import datetime, timezone
from dora import Node

events = list(Node())
value, closed, stop = events
assert set(value) == {"type", "kind", "id", "value", "metadata"}, value
assert (value["type"], value["kind"], value["id"]) == ("INPUT", "dora", "x"), value
assert value["value"].to_pylist() == [1, 2]
assert set(value["metadata"]) == {"a", "timestamp"}, value
assert value["metadata"]["timestamp"].tzinfo is timezone.utc
assert closed == {"type": "INPUT_CLOSED", "kind": "dora", "id": "x"}, closed
assert stop == {"type": "STOP", "kind": "dora", "id": "ALL_INPUTS_CLOSED"}, stop
""",
    )


def test_a_failed_sender_is_named_with_the_inputs_it_fed(run_dataflow):
    ended = run_dataflow(
        PAIR,
        {
            "source.py": """
import pyarrow as pa
from dora import Node
node = Node()
node.send_output("out", pa.array([1]))
raise ValueError("the lens is dirty")
""",
            "test.py": """
from dora import Node
node = Node()
events = list(node)
failed = next(event for event in events if event["type"] == "NODE_FAILED")
assert set(failed) == {"type", "kind", "id", "value"}, failed
assert failed["id"] == "source" and failed["value"]["source_node_id"] == "source", failed
assert failed["value"]["affected_input_ids"] == ["x"] and isinstance(failed["value"]["error"], str), failed
node.log_info("was told")
""",
        },
    )
    assert ended.code != 0, "a node that raised must fail the run"
    assert "was told" in ended.of("test", "info"), repr(ended)
    # The traceback reaches the terminal whole.
    lines = ended.of("source")
    assert "Traceback (most recent call last):" in lines, repr(ended)
    assert "ValueError: the lens is dirty" in lines, repr(ended)
    # And the file.
    files = list(ended.folder.glob("out/*/log_source*.jsonl"))
    assert files and "the lens is dirty" in files[0].read_text(encoding="utf-8"), files


def test_metadata_of_every_kind_arrives_as_it_was_sent(run_dataflow):
    passes(
        run_dataflow,
        LOOP,
        test="""
from datetime import datetime, timedelta, timezone
import numpy as np
from dora import Node

node = Node()
berlin = timezone(timedelta(hours=2))
given = {
    "yes": True, "no": False, "int": -(2**63), "big": 2**63 - 1, "float": 1.5, "text": "äß€𝄞", "empty": "",
    "ints": [1, 2, -3], "floats": (1.0, -0.5), "texts": ["a", "", "ü"], "nothing": [],
    "time": datetime(2024, 2, 29, 12, 30, 15, 123456, timezone.utc),
    "old": datetime(1900, 1, 1, 0, 0, 0, 1, timezone.utc),
    "zone": datetime(2024, 1, 1, 12, tzinfo=berlin),
    "np_int": np.int32(7), "np_float": np.float32(0.5), "np_ints": [np.int64(1), np.uint8(2)],
}
node.send_output("out", b"", given)
got = node.next()["metadata"]
sent_at = got.pop("timestamp")
assert sent_at.tzinfo is timezone.utc
expected = dict(given, floats=[1.0, -0.5])
assert got == expected, (got, expected)
assert type(got["yes"]) is bool and type(got["int"]) is int and type(got["ints"]) is list

# Passed on as it is, with the nested form and reserved keys, which are ignored.
node.send_output("out", b"", {"parameters": {"a": 1, "b": 2}, "b": 3, "_own": 1, "timestamp": "nonsense"})
got = node.next()["metadata"]
assert set(got) == {"a", "b", "timestamp"} and (got["a"], got["b"]) == (1, 3), got
node.send_output("out", b"", got)
again = node.next()["metadata"]
assert again["timestamp"] > got["timestamp"] and {k: v for k, v in again.items() if k != "timestamp"} == {"a": 1, "b": 3}
node.send_output("out", b"", None)
assert set(node.next()["metadata"]) == {"timestamp"}
""",
    )


def test_metadata_that_cannot_travel_is_an_error_with_its_key_and_sends_nothing(run_dataflow):
    passes(
        run_dataflow,
        LOOP,
        test="""
from datetime import datetime
from dora import Node

node = Node()

def refused(error, *words, metadata):
    try:
        node.send_output("out", b"", metadata)
    except error as raised:
        missing = [word for word in ("out", *words) if word not in str(raised)]
        assert not missing, f"{raised!r} does not say {missing}"
        return
    raise AssertionError(f"{metadata} was accepted")

for value in (None, object(), {}, b"bytes", 1j, {1}, [None], [[1]], [{}]):
    refused(TypeError, "k", metadata={"k": value})
refused(TypeError, "k", "int", "str", metadata={"k": [1, "a"]})
refused(TypeError, "k", metadata={"k": ["a", 1]})
refused(TypeError, "k", metadata={"k": [1, 2.5]})
refused(TypeError, "k", "time zone", metadata={"k": datetime(2024, 1, 1)})
refused(ValueError, "k", "valid text", metadata={"k": "\\ud800"})
refused(ValueError, "k", "valid text", metadata={"k": ["a", "\\ud800"]})
refused(ValueError, "key", "valid text", metadata={"\\ud800": 1})
refused(TypeError, "5", metadata={5: 1})
refused(TypeError, "list", metadata=[1])
refused(TypeError, "deep", metadata={"parameters": {"deep": None}})
refused(OverflowError, "huge", metadata={"huge": 2**63})
refused(OverflowError, "huge", metadata={"huge": [1, -(2**63) - 1]})
assert node.is_empty(), "something was sent all the same"
""",
    )


def test_what_cannot_be_sent_is_refused_with_the_name_of_the_output(run_dataflow):
    yaml = LOOP.replace("[out]", "[out, small]") + "    output_layout: {small: {max_message_bytes: 100}}\n"
    ended = passes(
        run_dataflow,
        yaml,
        test="""
import pyarrow as pa
from dora import Node

node = Node()

def refused(output, *args, words=()):
    try:
        node.send_output(output, *args)
    except RuntimeError as raised:
        text = str(raised)
        assert output in text and all(word in text for word in words), text
        assert "stack backtrace" not in text and "Location:" not in text, text
        return
    raise AssertionError(f"{args} was accepted")

for data in (None, 5, 1.5, "text", [1], {}, object(), pa, pa.chunked_array([[1]])):
    refused("out", data, words=["bytes", "pyarrow.Array"])
refused("small", b"x" * 101, words=["max_message_bytes"])
refused("small", b"", {"key": "v" * 1000}, words=["max_message_bytes"])
node.send_output("small", b"x" * 100)

for _ in range(3):
    node.send_output("nowhere", b"ignored")
assert node.is_empty(), "something was sent all the same"

# What speaks the Arrow protocol is an array, whoever made it.
class Foreign:
    def __arrow_c_array__(self, requested_schema=None):
        return pa.array([1, 2]).__arrow_c_array__()

node.send_output("out", Foreign())
assert node.next()["value"].equals(pa.array([1, 2]))
node.send_output("out", b"abc")
assert node.next()["value"].equals(pa.array([97, 98, 99], pa.uint8()))
node.send_output("out", b"")
empty = node.next()["value"]
assert empty.type == pa.uint8() and len(empty) == 0
""",
    )
    warnings = [line for line in ended.of("test", "warn") if "nowhere" in line]
    assert len(warnings) == 1, f"an undeclared output warns once: {ended!r}"


def test_waiting_ends_when_it_should(run_dataflow):
    passes(
        run_dataflow,
        LOOP,
        test="""
import time
from dora import Node

node = Node()
for wrong in (-1, -0.001, float("nan"), float("inf"), -float("inf")):
    try:
        node.next(timeout=wrong)
        raise AssertionError(f"a timeout of {wrong} was accepted")
    except ValueError as raised:
        assert "timeout" in str(raised)
try:
    node.next(timeout="soon")
    raise AssertionError("a timeout of 'soon' was accepted")
except TypeError as raised:
    assert "timeout" in str(raised)

assert node.next(0) is None and node.next(timeout=0.0) is None
before = time.monotonic()
assert node.next(timeout=0.6) is None
assert time.monotonic() - before >= 0.6, "it came back too early"
assert node.try_recv() is None and node.drain() == [] and node.is_empty()

for n in range(3):
    node.send_output("out", bytes([n]))
assert not node.is_empty()
assert node.next(timeout=1e300)["value"].to_pylist() == [0]
assert node.try_recv()["value"].to_pylist() == [1]
assert [event["value"].to_pylist() for event in node.drain()] == [[2]]
assert node.is_empty() and node.drain() == []
""",
    )


def test_after_the_end_there_is_nothing_and_drain_says_so(run_dataflow):
    passes(
        run_dataflow,
        PAIR,
        source="from dora import Node; Node().send_output('out', b'1')",
        test="""
from dora import Node
node = Node()
events = [event["type"] for event in node]
assert events == ["INPUT", "INPUT_CLOSED", "STOP"], events
assert node.next() is None and node.next(timeout=5) is None and node.try_recv() is None
assert list(node) == [] and node.is_empty()
try:
    node.drain()
    raise AssertionError("drain did not raise")
except RuntimeError as raised:
    assert "ended" in str(raised)
""",
    )


def test_arrays_may_be_kept_longer_than_the_sender_and_the_node_live(run_dataflow):
    ended = passes(
        run_dataflow,
        PAIR,
        source="""
import numpy as np
import pyarrow as pa
from dora import Node
node = Node()
for n in range(600):
    node.send_output("out", pa.array(np.full(1000, n, np.int64)))
""",
        test="""
import gc
from dora import Node

node = Node()
kept = [event["value"] for event in node if event["type"] == "INPUT"]
assert len(kept) == 600, len(kept)
views = [array.to_numpy() for array in kept]
del node, kept
gc.collect()
for n, view in enumerate(views):
    assert not view.flags.writeable, "a received value can be overwritten"
    assert (view == n).all(), f"message {n} changed to {view[:3]}"
""",
    )
    edge = ended.edge("test/x")
    assert edge["overwritten"] == 0, edge
    # The sender gets its memory back: what is held on to beyond the limit was copied, and the report says so.
    assert 0 < edge["copied_out"] < 600, edge


def test_one_thread_receives_while_others_send(run_dataflow):
    passes(
        run_dataflow,
        LOOP.replace("queue_size: 1000", "queue_size: 10, queue_policy: backpressure"),
        test="""
import threading
from dora import Node

node = Node()
COUNT, SENDERS = 2000, 3
errors = []

def send(who):
    try:
        for n in range(COUNT):
            node.send_output("out", n.to_bytes(4, "little") + bytes([who]))
    except BaseException as raised:
        errors.append(raised)

senders = [threading.Thread(target=send, args=(who,)) for who in range(SENDERS)]
for thread in senders:
    thread.start()
seen = [0] * SENDERS
for _ in range(COUNT * SENDERS):
    event = node.next(timeout=60)
    assert event is not None, f"a message was lost or a thread is stuck: {seen}"
    data = bytes(event["value"].to_pylist())
    n, who = int.from_bytes(data[:4], "little"), data[4]
    assert n == seen[who], f"sender {who}: {n} came after {seen[who] - 1}"
    seen[who] += 1
for thread in senders:
    thread.join(60)
assert not errors and seen == [COUNT] * SENDERS, (errors, seen)
""",
    )


def test_a_waiting_thread_does_not_stop_others(run_dataflow):
    passes(
        run_dataflow,
        LOOP,
        test="""
import threading
import time
from dora import Node

node = Node()
got = []
waiting = threading.Thread(target=lambda: got.append(node.next()))
waiting.start()
time.sleep(0.2)
# All of these would hang if the waiting thread held the GIL or a lock that they need.
assert node.is_empty() and node.try_recv() is None and node.drain() == []
assert node.next(timeout=0.1) is None
node.timestamp(), node.log_info("still here"), node.extension_load("ns", "key")
node.send_output("out", b"7")
waiting.join(60)
assert not waiting.is_alive() and got[0]["value"].to_pylist() == [55], got
""",
    )


def test_a_thread_that_waits_for_its_readers_does_not_stop_the_one_that_reads(run_dataflow):
    passes(
        run_dataflow,
        LOOP.replace("queue_size: 1000", "queue_size: 1, queue_policy: backpressure"),
        test="""
import logging
import threading
import time
from dora import Node

node = Node()

def send():
    for n in range(200):
        node.send_output("out", bytes([n]))

sender = threading.Thread(target=send)
sender.start()
time.sleep(0.5)  # By now it waits for room.
for n in range(200):
    before = node.timestamp()
    node.log_debug("about to read")
    logging.debug("about to read")
    assert node.next(timeout=60)["value"].to_pylist() == [n]
    assert node.timestamp() >= before
sender.join(60)
assert not sender.is_alive()
""",
    )


def test_ctrl_c_ends_a_blocking_next(run_dataflow):
    passes(
        run_dataflow,
        LOOP,
        test="""
import os
import signal
import threading
from dora import Node

node = Node()
for wait in (node.next, lambda: node.next(timeout=300), lambda: next(node)):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        wait()
        raise AssertionError("it came back")
    except KeyboardInterrupt:
        pass
# A handler that does not raise does not end the wait.
seen = []
signal.signal(signal.SIGUSR1, lambda *_: (seen.append(1), node.send_output("out", b"woken")))
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
assert bytes(node.next(timeout=60)["value"].to_pylist()) == b"woken" and seen == [1]
""",
    )


def test_ctrl_c_and_other_threads_reach_a_send_that_waits_for_a_slow_reader(run_dataflow):
    flow = """
nodes:
  - id: slow
    path: slow.py
    inputs: {x: {source: test/full, queue_policy: backpressure}, go: test/go}
  - id: test
    path: test.py
    outputs: [full, go]
"""
    passes(
        run_dataflow,
        flow,
        slow="""
from dora import Node
node = Node()
# Takes nothing until `go` is there: looks at the clock, not at the queue.
import time
time.sleep(3)
assert any(event["id"] == "go" for event in node if event["type"] == "INPUT")
""",
        test="""
import os
import signal
import threading
from dora import Node

node = Node()
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
sent = 0
try:
    while True:
        node.send_output("full", b"x")
        sent += 1
except KeyboardInterrupt:
    pass
assert sent >= 100, sent
blocked = threading.Thread(target=lambda: node.send_output("full", b"y"))
blocked.start()
node.send_output("go", b"")
blocked.join()
""",
    )


def test_requests_get_names_and_responses_need_them(run_dataflow):
    ended = passes(
        run_dataflow,
        LOOP,
        test="""
import uuid
from dora import Node

node = Node()
first = node.send_service_request("out", b"1", {"k": 1})
second = node.send_service_request("out", b"2")
assert uuid.UUID(first).version == 7 and first < second
event = node.next()
assert event["metadata"]["request_id"] == first and event["metadata"]["k"] == 1
node.next()
node.send_service_response("out", b"3", event["metadata"])
assert node.next()["metadata"]["request_id"] == first
try:
    node.send_service_response("out", b"4", {"k": 1})
    raise AssertionError("a response without a request was sent")
except ValueError as raised:
    assert "out" in str(raised) and "request_id" in str(raised)
third = node.send_service_request("out", b"5", {"request_id": "mine"})
assert node.next()["metadata"]["request_id"] == third != "mine"
assert node.is_empty()
""",
    )
    assert any("mine" in line or "request_id" in line for line in ended.of("test", "warn")), repr(ended)


def test_extension_entries_are_shared_and_vanish_with_their_node(run_dataflow):
    passes(
        run_dataflow,
        LOOP,
        test="""
from dora import Node

node = Node()
assert node.extension_load("ns", "key") is None
node.extension_store("ns", "key", b"value")
assert node.extension_load("ns", "key") == b"value"
assert node.extension_load("other", "key") is None
assert node.extension_load("ns", "key", remove=True) == b"value"
assert node.extension_load("ns", "key") is None
node.extension_store("ns", "key", b"again")
node.extension_drop("ns", "key")
assert node.extension_load("ns", "key") is None
assert node.drain_dropped_extension_keys("ns") == []
""",
    )


def test_a_node_outside_of_a_dataflow_says_how_to_start_it(clean_env):
    script = """
from dora import Node
for args in ((), ("late",), ("late", 1234)):
    try:
        Node(*args)
    except RuntimeError as raised:
        print(raised)
    else:
        raise AssertionError(f"Node{args} joined something")
try:
    Node(daemon_port=1234)
except RuntimeError as raised:
    assert "node_id" in str(raised)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], env=clean_env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == 0, ended.stderr
    alone, by_name, by_port = ended.stdout.splitlines()
    assert "dora run" in alone and "late" in by_name and "late" in by_port, ended.stdout


def test_a_second_node_in_a_process_is_refused(run_dataflow):
    passes(
        run_dataflow,
        LOOP,
        test="""
from dora import Node
node = Node()
try:
    Node()
    raise AssertionError("two nodes in one process")
except RuntimeError as raised:
    assert str(raised)
node.send_output("out", b"1")
assert node.next()["value"].to_pylist() == [49], "the first node suffered"
""",
    )


def test_the_module_has_what_nodes_import():
    import dora

    assert [status.value for status in dora.DoraStatus] == [0, 1, 2]
    assert dora.DoraStatus.STOP_ALL.name == "STOP_ALL" and isinstance(dora.__version__, str)
    for name in ("Ros2Context", "register_tensor_pool"):
        with pytest.raises(AttributeError, match=f"{name} does not exist.*built without"):
            getattr(dora, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dora.nonsense
    with pytest.raises(RuntimeError, match="operator runtime"):
        dora.start_runtime()
    assert dora.builder.DataflowBuilder and dora.testing.MockNode


def test_the_stubs_name_everything_that_is_there():
    import ast
    from pathlib import Path

    import dora

    stub = ast.parse(Path(dora.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    classes = {item.name: item for item in stub.body if isinstance(item, ast.ClassDef)}
    for name in ("Node", "SampleHandler"):
        documented = {item.name for item in classes[name].body if isinstance(item, ast.FunctionDef)}
        documented |= {item.name for item in classes[name].body if isinstance(item, ast.AsyncFunctionDef)}
        real = {method for method in vars(getattr(dora, name)) if not method.startswith("_")}
        assert real <= documented, f"{name}: the stubs miss {real - documented}"
        assert {m for m in documented if not m.startswith("_")} <= real, f"{name}: the stubs make up {documented - real}"
    functions = {item.name for item in stub.body if isinstance(item, ast.FunctionDef)}
    assert {name for name in dora.__all__ if callable(getattr(dora, name))} <= functions | set(classes)
