"""Test a node without a dataflow: `MockNode` is given instead of `dora.Node`.

    from dora.testing import MockNode

    def test_doubles():
        node = MockNode([("number", pa.array([1])), ("number", pa.array([2]))])
        run(node)                      # the node's own code, which takes the node as an argument
        assert [data.to_pylist() for data in node.outputs["double"]] == [[2], [4]]

Everything happens in the calling thread and nothing waits: a timeout is accepted and ignored, and when the given
events are used up the stream has ended. What is sent is kept as it was given; unlike the real node, the mock does not
check types.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import deque
from datetime import datetime, timezone

__all__ = ["MockNode"]


class MockNode:
    """Has the methods of `dora.Node`; events come from a list, and what the node does is kept for the test.

    - `inputs`: `(input_id, value)` or `(input_id, value, metadata)`, or a whole event as a dict. A
      `STOP` (`ALL_INPUTS_CLOSED`) is appended unless there is one among them.
    - `metadata`: what every input that was given as a tuple carries.
    - `service_responses`: answers by request output. Each `send_service_request` on that output takes the next one
      and makes an input of it, with the `request_id` of the request and the name of the request's output; a whole
      `INPUT` event as a dict instead of a value gives it the name that the client's input has.

    After the run: `outputs` by output id, `logs`, `service_requests`, `service_responses_sent`.
    """

    def __init__(
        self,
        inputs,
        metadata=None,
        *,
        dataflow_descriptor=None,
        dataflow_id=None,
        node_config=None,
        is_restart=False,
        restart_count=0,
        service_responses=None,
    ):
        #: `{output_id: [data, ...]}` of `send_output`.
        self.outputs = {}
        #: `{level, message, target, fields}` per call.
        self.logs = []
        #: `{output_id, data, metadata, request_id}` per call.
        self.service_requests = []
        #: `{output_id, data, metadata, request_id}` per call.
        self.service_responses_sent = []
        self._events = deque(_event(entry, metadata) for entry in inputs)
        if not any(event.get("type") == "STOP" for event in self._events):
            self._events.append({"type": "STOP", "id": "ALL_INPUTS_CLOSED", "kind": "dora"})
        self._answers = {output: deque(values) for output, values in (service_responses or {}).items()}
        self._dataflow_descriptor = dataflow_descriptor
        self._dataflow_id = dataflow_id
        self._node_config = node_config
        self._is_restart = is_restart
        self._restart_count = restart_count
        self._extensions = {}

    # Receiving.

    def next(self, timeout=None):
        """The next event, or `None` when there are no more."""
        return self._events.popleft() if self._events else None

    def try_recv(self):
        """The same as `next`."""
        return self.next()

    async def recv_async(self, timeout=None):
        """The same as `next`, to be awaited."""
        return self.next()

    def drain(self):
        """All events that are left."""
        events = list(self._events)
        self._events.clear()
        return events

    def is_empty(self):
        """Are there no more events?"""
        return not self._events

    def __iter__(self):
        return self

    def __next__(self):
        if not self._events:
            raise StopIteration
        return self._events.popleft()

    # Sending.

    def send_output(self, output_id, data, metadata=None):
        """Keeps `data` in `outputs[output_id]`."""
        self.outputs.setdefault(output_id, []).append(data)

    def send_output_raw(self, output_id, data_length, metadata=None):
        """Not here: it hands out shared memory, of which there is none."""
        raise NotImplementedError("MockNode has no shared memory for send_output_raw; use send_output in tests")

    def send_service_request(self, output_id, data, metadata=None):
        """Keeps the request in `service_requests`, queues the prepared answer if there is one, returns the id."""
        request_id = str(_uuid7())
        self.service_requests.append(
            {"output_id": output_id, "data": data, "metadata": dict(metadata or {}), "request_id": request_id}
        )
        answers = self._answers.get(output_id)
        if answers:
            self._queue_answer(output_id, answers.popleft(), request_id)
        return request_id

    def send_service_response(self, output_id, data, metadata):
        """Keeps the response in `service_responses_sent`."""
        metadata = dict(metadata)
        self.service_responses_sent.append(
            {"output_id": output_id, "data": data, "metadata": metadata, "request_id": metadata.get("request_id")}
        )

    def merge_external_events(self, subscription):
        """Not here: give the events as dicts with `kind="external"` instead."""
        raise NotImplementedError(
            "MockNode cannot merge subscriptions; give it events such as {'kind': 'external', 'value': ...}"
        )

    # Logging.

    def log(self, level, message, target=None, fields=None):
        """Keeps the entry in `logs`."""
        self.logs.append({"level": level, "message": message, "target": target, "fields": dict(fields or {})})

    def log_error(self, message):
        """`log("error", message)`"""
        self.log("error", message)

    def log_warn(self, message):
        """`log("warn", message)`"""
        self.log("warn", message)

    def log_info(self, message):
        """`log("info", message)`"""
        self.log("info", message)

    def log_debug(self, message):
        """`log("debug", message)`"""
        self.log("debug", message)

    def log_trace(self, message):
        """`log("trace", message)`"""
        self.log("trace", message)

    # Surroundings.

    def dataflow_descriptor(self):
        """What the constructor was given, else `{}`."""
        return {} if self._dataflow_descriptor is None else self._dataflow_descriptor

    def node_config(self):
        """What the constructor was given, else `{}`."""
        return {} if self._node_config is None else self._node_config

    def dataflow_id(self):
        """What the constructor was given, else an empty text."""
        return "" if self._dataflow_id is None else self._dataflow_id

    def is_restart(self):
        """What the constructor was given, else `False`."""
        return self._is_restart

    def restart_count(self):
        """What the constructor was given, else 0."""
        return self._restart_count

    def timestamp(self):
        """Now, in UTC."""
        return datetime.now(timezone.utc)

    # Extensions: a table of this mock alone.

    def extension_store(self, namespace, key, value):
        """Keeps bytes under a key."""
        self._extensions[namespace, key] = bytes(value)

    def extension_load(self, namespace, key, remove=False):
        """The bytes under a key, or `None`; with `remove` they are gone then."""
        if remove:
            return self._extensions.pop((namespace, key), None)
        return self._extensions.get((namespace, key))

    def extension_drop(self, namespace, key):
        """Removes a key."""
        self._extensions.pop((namespace, key), None)

    def drain_dropped_extension_keys(self, namespace):
        """Always empty: no other node can end."""
        return []

    def _queue_answer(self, output_id, answer, request_id):
        given = answer if _is_event(answer) else (output_id, answer)
        event = _event(given, None)
        event["metadata"]["request_id"] = request_id
        stop = next((i for i, e in enumerate(self._events) if e.get("type") == "STOP"), len(self._events))
        self._events.insert(stop, event)


def _is_event(value):
    return isinstance(value, dict) and value.get("type") == "INPUT" and "id" in value


def _event(entry, metadata):
    """One event, complete as a node would get it; what the test gave stays as it was."""
    if isinstance(entry, dict):
        event = dict(entry)
        event.setdefault("kind", "dora" if "type" in event else "external")
    elif isinstance(entry, (tuple, list)) and len(entry) in (2, 3) and isinstance(entry[0], str):
        own = entry[2] if len(entry) == 3 else None
        event = {"type": "INPUT", "id": entry[0], "kind": "dora", "value": entry[1]}
        event["metadata"] = {**(metadata or {}), **(own or {})}
    else:
        raise TypeError(
            f"an input of a MockNode is (input_id, value), (input_id, value, metadata) or an event dict, not {entry!r}"
        )
    if event.get("type") == "INPUT":
        event.setdefault("value", None)
        event["metadata"] = dict(event.get("metadata") or {})
        event["metadata"].setdefault("timestamp", datetime.now(timezone.utc))
    return event


def _uuid7():
    """Time-ordered, as the node library makes them; `uuid.uuid7` came only with Python 3.14."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=bits)
