"""`dora.testing.MockNode`: a node's code runs on it as on the real one."""

import asyncio
import uuid
from datetime import datetime, timezone

import dora
import pyarrow as pa
import pytest
from dora.testing import MockNode


def double(node):
    """The node under test of these tests."""
    for event in node:
        if event["type"] == "INPUT":
            values = pa.array([2 * value for value in event["value"].to_pylist()])
            node.send_output("double", values, event["metadata"])
        elif event["type"] == "STOP":
            node.log_info("done")
            break


def test_a_node_is_run_to_its_end_and_its_outputs_are_kept():
    node = MockNode([("number", pa.array([1, 2])), ("number", pa.array([3]))])
    double(node)
    assert [data.to_pylist() for data in node.outputs["double"]] == [[2, 4], [6]]
    assert node.logs == [{"level": "info", "message": "done", "target": None, "fields": {}}]
    assert list(node) == []


def test_events_look_like_those_of_the_real_node():
    before = datetime.now(timezone.utc)
    node = MockNode([("a", 1), ("b", 2, {"own": "x"})], metadata={"robot": 7})
    first, second, stop = node.drain()
    assert {key: first[key] for key in ("type", "kind", "id", "value")} == {
        "type": "INPUT",
        "kind": "dora",
        "id": "a",
        "value": 1,
    }
    assert first["metadata"]["robot"] == 7
    assert before <= first["metadata"]["timestamp"] <= datetime.now(timezone.utc)
    assert (second["metadata"]["robot"], second["metadata"]["own"]) == (7, "x")
    assert stop == {"type": "STOP", "id": "ALL_INPUTS_CLOSED", "kind": "dora"}


def test_events_given_as_dicts_are_completed_and_left_alone():
    given = {"type": "INPUT", "id": "a", "value": b"x", "metadata": {"timestamp": 5, "k": 1}}
    closed = {"type": "INPUT_CLOSED", "id": "a"}
    external = {"kind": "external", "value": 3}
    events = MockNode([given, closed, external, {"type": "STOP", "id": "MANUAL"}]).drain()
    assert events[0] == {**given, "kind": "dora"}, "a timestamp of the test is kept"
    assert events[1] == {**closed, "kind": "dora"}
    assert events[2] == external
    assert [event["id"] for event in events[3:]] == ["MANUAL"], "a given STOP is the only one"
    assert "kind" not in given and "kind" not in closed


def test_every_way_to_receive_takes_from_the_same_stream():
    node = MockNode([(name, None) for name in "abcdef"])
    assert node.next()["id"] == "a"
    assert node.next(timeout=0.001)["id"] == "b"
    assert node.try_recv()["id"] == "c"
    assert asyncio.run(node.recv_async(timeout=1.0))["id"] == "d"
    assert next(node)["id"] == "e"
    assert not node.is_empty()
    assert [event.get("id") for event in node.drain()] == ["f", "ALL_INPUTS_CLOSED"]
    assert node.is_empty()
    assert (node.next(), node.try_recv(), asyncio.run(node.recv_async())) == (None, None, None)
    assert node.drain() == []
    with pytest.raises(StopIteration):
        next(node)


def test_an_entry_that_is_no_input_is_named():
    for wrong in (5, ("a",), (1, 2), "a"):
        with pytest.raises(TypeError, match="input of a MockNode"):
            MockNode([wrong])


def test_requests_get_their_answers_before_the_stream_stops():
    answers = {"request": [pa.array([3]), {"type": "INPUT", "id": "response", "value": pa.array([7])}]}
    node = MockNode([("tick", None)], service_responses=answers)
    assert node.next()["id"] == "tick"
    ids = [node.send_service_request("request", pa.array([n]), {"n": n}) for n in range(3)]
    assert len(set(ids)) == 3
    for request_id in ids:
        assert uuid.UUID(request_id).version == 7
        assert uuid.UUID(request_id).variant == uuid.RFC_4122
    assert [(r["output_id"], r["metadata"], r["request_id"]) for r in node.service_requests] == [
        ("request", {"n": n}, ids[n]) for n in range(3)
    ]
    first, second, stop = node.drain()
    assert (first["id"], first["value"].to_pylist(), first["metadata"]["request_id"]) == ("request", [3], ids[0])
    assert (second["id"], second["value"].to_pylist(), second["metadata"]["request_id"]) == ("response", [7], ids[1])
    assert first["kind"] == "dora" and "timestamp" in first["metadata"]
    assert stop["type"] == "STOP"


def test_responses_are_kept_with_their_request():
    node = MockNode([("request", pa.array([1]), {"request_id": "r1"})])
    request = node.next()
    node.send_service_response("response", pa.array([2]), request["metadata"])
    (sent,) = node.service_responses_sent
    assert (sent["output_id"], sent["request_id"], sent["data"].to_pylist()) == ("response", "r1", [2])
    assert sent["metadata"]["request_id"] == "r1"
    assert node.outputs == {}


def test_log_calls_are_kept():
    node = MockNode([])
    node.log("warn", "hot", target="motor", fields={"temperature": "90"})
    for level in ("error", "warn", "info", "debug", "trace"):
        getattr(node, f"log_{level}")(level)
    assert node.logs[0] == {"level": "warn", "message": "hot", "target": "motor", "fields": {"temperature": "90"}}
    assert [(entry["level"], entry["message"]) for entry in node.logs[1:]] == [
        (level, level) for level in ("error", "warn", "info", "debug", "trace")
    ]


def test_what_a_node_knows_about_its_surroundings_is_given_or_empty():
    plain = MockNode([])
    assert (plain.dataflow_descriptor(), plain.node_config(), plain.dataflow_id()) == ({}, {}, "")
    assert (plain.is_restart(), plain.restart_count()) == (False, 0)
    assert plain.timestamp().tzinfo is timezone.utc
    node = MockNode(
        [],
        dataflow_descriptor={"nodes": []},
        dataflow_id="d",
        node_config={"node_id": "n"},
        is_restart=True,
        restart_count=2,
    )
    assert (node.dataflow_descriptor(), node.node_config(), node.dataflow_id()) == (
        {"nodes": []},
        {"node_id": "n"},
        "d",
    )
    assert (node.is_restart(), node.restart_count()) == (True, 2)


def test_what_cannot_be_mocked_says_what_to_do_instead():
    with pytest.raises(NotImplementedError, match="send_output"):
        MockNode([]).send_output_raw("out", 8)
    with pytest.raises(NotImplementedError, match="external"):
        MockNode([]).merge_external_events(object())


def test_the_extension_table_works_within_one_mock():
    node = MockNode([])
    node.extension_store("space", "key", b"value")
    assert node.extension_load("space", "key") == b"value"
    assert node.extension_load("space", "key", remove=True) == b"value"
    assert node.extension_load("space", "key") is None
    node.extension_store("space", "key", b"again")
    node.extension_drop("space", "key")
    node.extension_drop("space", "never there")
    assert node.extension_load("space", "key") is None
    assert node.drain_dropped_extension_keys("space") == []


def test_the_mock_has_every_method_of_the_node():
    real = {name for name in dir(dora.Node) if not name.startswith("_")}
    assert real <= set(dir(MockNode))
