"""The process that hosts Python operators: `dora.start_runtime()`.

Several operators share the process. What one sends to another is handed over as it is: the same array, no copy. They run in the
order of the rule that native operators have, too: by logical time, and within it in the order of declaration; an edge
that leads back goes to the next step. So the order of calls follows from the order of what comes in.
"""

import collections
import importlib.util
import json
import logging
import os
import sys
import traceback
import types

import pyarrow as pa

from ._native import Node

_log = logging.getLogger("dora.runtime")

#: No event is later.
_NEVER = (sys.maxsize, sys.maxsize)
#: Steps between two looks at what comes in, when operators keep each other busy.
_TURNS = 64
#: Steps that are made at the end for operators that do.
_MOST = 10_000


class OperatorFailed(Exception):
    """An operator failed; says which, and how."""


class _Edge:
    """What waits for an operator from one sender."""

    def __init__(self, operator, name, limit, keeps_all):
        self.operator = operator
        self.name = name
        self.limit = limit
        self.keeps_all = keeps_all
        self.waiting = collections.deque()


class _Output:
    """An output: its name outside, and its readers inside."""

    def __init__(self, name):
        self.name = name
        self.edges = []


class _Operator:
    """One operator: its file, its instance, its edges."""

    def __init__(self, number, config):
        self.number = number
        self.id = config["id"]
        self.file = os.path.abspath(config["source"]["python"]["source"])
        self.descriptor = {}
        self.edges = []
        #: Own names to outputs.
        self.outputs = {}
        #: Per input: what feeds it and is still open.
        self.open = {}
        self.can_recover = any(port["can_recover"] for port in config["inputs"])
        self.dropped = 0
        self.ended = False
        #: The code is new, so its first failure is a warning.
        self.fresh = False
        self.instance = None
        self.warned = set()

    def load(self):
        """Imports the file anew, and makes an instance."""
        folder = os.path.dirname(self.file)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        name = "dora_operator_" + "".join(c if c.isalnum() else "_" for c in self.id)
        # Read as text: a compiled copy may be older than a change within the same second.
        with open(self.file, "rb") as source:
            code = compile(source.read(), self.file, "exec")
        module = types.ModuleType(name)
        module.__file__ = self.file
        module.__spec__ = importlib.util.spec_from_file_location(name, self.file)
        before = sys.modules.get(name)
        # What pickles or inspects a class looks for its module here.
        sys.modules[name] = module
        try:
            exec(code, module.__dict__)
            made = getattr(module, "Operator", None)
            if made is None:
                raise OperatorFailed(f"`{self.file}` has no class `Operator`")
            instance = made()
            instance.dataflow_descriptor = self.descriptor
        except BaseException:
            if before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = before
            raise
        return instance

    def reload(self):
        """Exchanges the code and keeps the state. When that fails, everything stays as it was."""
        state = dict(vars(self.instance))
        try:
            instance = self.load()
            keep = getattr(instance, "on_reload", None)
            if keep is None:
                instance.__dict__.update(state)
            else:
                keep(state)
        except Exception:
            _log.error("operator `%s` was not reloaded and goes on as it was:\n%s", self.id, traceback.format_exc())
            return
        self.instance = instance
        self.fresh = True
        _log.info("operator `%s` was reloaded", self.id)

    def earliest(self):
        """Logical time of the next event, and where it waits."""
        found, at = _NEVER, None
        for edge in self.edges:
            if edge.waiting and edge.waiting[0][0] < found:
                found, at = edge.waiting[0][0], edge
        return found, at


class Runtime:
    """The operators of one node, and the edges between them."""

    def __init__(self, config):
        self.node = None
        self.clock = 0
        self.operators = []
        outputs = [_Output(name) for name in config["outputs"]]
        #: Names of the node's inputs to edges.
        self.entries = {}
        for number, operator in enumerate(config["operators"]):
            made = _Operator(number, operator)
            made.outputs = {output["id"]: outputs[output["output"]] for output in operator["outputs"]}
            for port in operator["inputs"]:
                keeps_all = port["policy"] == "backpressure"
                limit = max(100, 10 * port["queue_size"]) if keeps_all else max(1, port["queue_size"])
                feeds = []
                if port["outside"] is not None:
                    edge = _Edge(made, port["id"], limit, keeps_all)
                    self.entries[config["inputs"][port["outside"]]] = edge
                    feeds.append(edge)
                for output in port["inside"]:
                    edge = _Edge(made, port["id"], limit, keeps_all)
                    outputs[output].edges.append(edge)
                    feeds.append(edge)
                made.edges += feeds
                made.open[port["id"]] = len(feeds)
            # Closings and the stop; the last, so that what was sent before comes before.
            made.control = _Edge(made, None, sys.maxsize, False)
            made.edges.append(made.control)
            self.operators.append(made)

    def join(self, node):
        """Gives the operators their node, and the descriptor of its dataflow."""
        self.node = node
        try:
            descriptor = node.dataflow_descriptor()
        except RuntimeError:
            descriptor = {}
        for operator in self.operators:
            operator.descriptor = descriptor
            operator.instance.dataflow_descriptor = descriptor

    def load(self):
        """Makes all operators."""
        for operator in self.operators:
            try:
                operator.instance = operator.load()
            except Exception as error:
                raise self._failed(operator, "could not be started", error) from None

    def run(self):
        """Runs until the dataflow ends, or no operator is left."""
        while True:
            busy = self.settle(_TURNS)
            if all(operator.ended for operator in self.operators):
                break
            event = self.node.try_recv() if busy else self.node.next()
            if event is None:
                if busy:
                    continue
                break
            self.take(event)
        self.settle(_MOST)
        self.tell_all({"type": "STOP", "kind": "dora", "id": "MANUAL"})
        self.settle(_MOST)
        for operator in self.operators:
            if operator.dropped:
                count, name = operator.dropped, operator.id
                _log.warning("operator `%s`: %d messages of other operators were dropped, newer ones came", name, count)

    def take(self, event):
        """Queues an event of the node."""
        kind = event["type"]
        if kind == "RELOAD":
            for operator in self.operators:
                if event.get("id") in (None, operator.id) and not operator.ended:
                    operator.reload()
                    self._push(operator.control, event)
        elif kind == "INPUT":
            edge = self.entries.get(event["id"])
            if edge is not None:
                self._push(edge, {**event, "id": edge.name})
        elif kind in ("INPUT_CLOSED", "INPUT_RECOVERED"):
            edge = self.entries.get(event["id"])
            if edge is not None and kind == "INPUT_CLOSED":
                self._closed(edge)
            elif edge is not None:
                edge.operator.open[edge.name] += 1
                self._push(edge.operator.control, {**event, "id": edge.name})
        elif kind != "STOP":
            # The stop is told when everything that was queued has been handled.
            self.tell_all(event)

    def tell_all(self, event):
        """Queues an event for every operator."""
        for operator in self.operators:
            self._push(operator.control, dict(event))

    def settle(self, most):
        """Makes steps until nothing waits; True when something still does."""
        for _ in range(most):
            if not self.step():
                return False
        return any(operator.earliest()[1] for operator in self.operators)

    def step(self):
        """Finishes the earliest logical time."""
        tag = min((operator.earliest()[0] for operator in self.operators), default=_NEVER)
        if tag == _NEVER:
            return False
        # Forward edges lead to later operators, so one pass in the order of declaration is enough.
        for operator in self.operators:
            while not operator.ended:
                found, edge = operator.earliest()
                if found != tag:
                    break
                self._call(operator, edge.waiting.popleft()[1], tag)
        return True

    def _push(self, edge, event, tag=None):
        if edge.operator.ended:
            return
        if tag is None:
            self.clock += 1
            tag = (self.clock, 0)
        if len(edge.waiting) >= edge.limit:
            edge.waiting.popleft()
            edge.operator.dropped += 1
        edge.waiting.append((tag, event))

    def _closed(self, edge):
        operator = edge.operator
        operator.open[edge.name] -= 1
        if operator.open[edge.name] == 0:
            self._push(operator.control, {"type": "INPUT_CLOSED", "kind": "dora", "id": edge.name})
            if not operator.can_recover and not any(operator.open.values()):
                self._push(operator.control, {"type": "STOP", "kind": "dora", "id": "ALL_INPUTS_CLOSED"})

    def _call(self, operator, event, tag):
        sent = []

        def send_output(output_id, data, metadata=None):
            self._send(operator, output_id, data, metadata, sent)

        try:
            status = operator.instance.on_event(event, send_output)
            operator.fresh = False
        except Exception as error:
            if not operator.fresh:
                raise self._failed(operator, "failed", error) from None
            operator.fresh = False
            _log.warning("operator `%s` failed after it was reloaded:\n%s", operator.id, traceback.format_exc())
            status = None
        for edge, message in sent:
            later = edge.operator.number > operator.number
            self._push(edge, message, tag if later else (tag[0], tag[1] + 1))
        self._obey(operator, status, event["type"] == "STOP")

    def _send(self, operator, output_id, data, metadata, sent):
        output = operator.outputs.get(output_id)
        if output is None:
            if output_id not in operator.warned:
                operator.warned.add(output_id)
                known = ", ".join(operator.outputs) or "none"
                _log.warning(
                    "output `%s` is not declared, what is sent to it is ignored; add it to `outputs` of operator `%s` (now: %s)",
                    output_id,
                    operator.id,
                    known,
                )
            return
        for edge in output.edges:
            if edge.keeps_all and len(edge.waiting) + sum(e is edge for e, _ in sent) >= edge.limit:
                raise RuntimeError(
                    f"output `{output_id}`: operator `{edge.operator.id}` has {edge.limit} messages at its input "
                    f"`{edge.name}`, and its policy is to lose nothing"
                )
        if not isinstance(data, (bytes, bytearray, memoryview, pa.Array)):
            raise RuntimeError(f"output `{output_id}`: {type(data).__name__} cannot be sent; send bytes or a pyarrow array")
        # Refuses what cannot be sent, before anybody inside has it. Nothing is copied for nobody.
        if not output.edges or self.node._has_readers(output.name):
            self.node.send_output(output.name, data, metadata)
        if not output.edges:
            return
        if isinstance(data, (bytes, bytearray, memoryview)):
            data = pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])
        told = dict(metadata or {})
        told.update(told.pop("parameters", None) or {})
        told = {key: value for key, value in told.items() if not key.startswith("_")}
        told["timestamp"] = self.node.timestamp()
        for edge in output.edges:
            message = {"type": "INPUT", "kind": "dora", "id": edge.name, "value": data, "metadata": dict(told)}
            sent.append((edge, message))

    def _obey(self, operator, status, is_last):
        # A status may come from an enumeration of another copy of this package: its number counts.
        try:
            number = 0 if status is None else int(status)
        except (TypeError, ValueError):
            number = -1
        if number not in (0, 1, 2):
            what = f"`on_event` returned {status!r}; it returns a `DoraStatus`, or nothing to go on"
            raise OperatorFailed(f"operator `{operator.id}` failed: {what}")
        if number == 0 and not is_last:
            return
        if number == 2:
            self.node._stop_dataflow(operator.id)
        operator.ended = True
        for edge in operator.edges:
            edge.waiting.clear()
        self.node._close_outputs([output.name for output in operator.outputs.values()])
        for output in operator.outputs.values():
            for edge in output.edges:
                self._closed(edge)

    def _failed(self, operator, what, error):
        if isinstance(error, OperatorFailed):
            return OperatorFailed(f"operator `{operator.id}` {what}: {error}")
        told = traceback.TracebackException(type(error), error, error.__traceback__)
        # The user's own frames: what is between them is this file.
        own = [frame for frame in told.stack if frame.filename != __file__]
        told.stack = traceback.StackSummary.from_list(own)
        text = "".join(told.format())
        return OperatorFailed(f"operator `{operator.id}` {what}:\n{text.rstrip()}")


def start():
    """Runs the operators of the node that this process was started for."""
    text = os.environ.get("DORA_RUNTIME_CONFIG")
    if text is None:
        raise RuntimeError(
            "`DORA_RUNTIME_CONFIG` is not set: the operator runtime is a process that a dataflow starts, for a node with "
            "Python operators"
        )
    config = json.loads(text)
    import faulthandler

    # A crash in native code shows in which operator it was.
    faulthandler.enable()
    try:
        # Operators are made before the node joins, so that a slow import holds up nobody's messages.
        runtime = Runtime(config)
        runtime.load()
        runtime.join(Node())
        runtime.run()
    except OperatorFailed as failed:
        print(failed, file=sys.stderr, flush=True)
        # No tidy goodbye: readers shall learn that this node failed.
        os._exit(1)
