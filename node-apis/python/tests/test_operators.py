"""Python operators: in real dataflows, and reloaded."""

import sys
import textwrap

import pyarrow as pa
import pytest

from dora import DoraStatus, _runtime

SENDER = """
from dora import DoraStatus
import pyarrow as pa

class Operator:
    def __init__(self):
        self.sent = 0

    def on_event(self, event, send_output):
        if event["type"] == "INPUT":
            value = pa.array([self.sent] * 1000)
            send_output("out", value, {"address": value.buffers()[1].address, "n": self.sent})
            self.sent += 1
            if self.sent == 5:
                return DoraStatus.STOP
"""

READER = """
class Operator:
    def on_event(self, event, send_output):
        if event["type"] == "INPUT":
            same = event["value"].buffers()[1].address == event["metadata"]["address"]
            print("same buffer" if same else "a copy", event["value"][0], event["metadata"]["timestamp"].tzinfo)
        else:
            print(event["type"], event["id"])
"""

TWO = """
nodes:
  - id: rt
    operators:
      - {{ id: a, python: sender.py, inputs: {{ tick: dora/timer/millis/10 }}, outputs: [out] }}
      - {{ id: b, python: reader.py, inputs: {{ i: {{ source: rt/a/out, queue_size: 100 }} }} }}
{more}
"""


def test_operators_of_one_process_hand_the_same_array_over_and_others_get_a_copy(run_dataflow):
    more = "  - {id: other, operator: {python: reader.py, inputs: {i: {source: rt/a/out, queue_size: 100}}}}"
    run = run_dataflow(TWO.format(more=more), {"sender.py": SENDER, "reader.py": READER})
    assert run.code == 0, run
    assert run.of("rt") == [f"same buffer {n} UTC" for n in range(5)] + ["INPUT_CLOSED i", "STOP ALL_INPUTS_CLOSED"], run
    assert [line.split()[:2] for line in run.of("other")[:5]] == [["a", "copy"]] * 5, run
    assert "INPUT_CLOSED i" in run.of("other"), run


@pytest.mark.parametrize(
    "body, expected",
    [
        ("raise ValueError('in its own words')", ["operator `a` failed", "in its own words", "broken.py"]),
        ("return 'nonsense'", ["operator `a` failed", "returned 'nonsense'"]),
        ("send_output('out', object())", ["operator `a` failed", "out"]),
    ],
)
def test_an_operator_that_fails_is_named_with_its_traceback(body, expected, run_dataflow):
    source = f"class Operator:\n    def on_event(self, event, send_output):\n        {body}\n"
    yaml = TWO.format(more="").replace("sender.py", "broken.py")
    run = run_dataflow(yaml, {"broken.py": source, "reader.py": READER})
    assert run.code != 0, run
    for part in expected:
        assert part in run.stderr, run
    assert "_runtime.py" not in run.stderr, run


@pytest.mark.parametrize("source", ["x = 1\n", "import nowhere_at_all\n", "class Operator:\n    def __init__(self): 1 / 0\n"])
def test_an_operator_that_cannot_be_made_is_named(source, run_dataflow):
    run = run_dataflow(TWO.format(more=""), {"sender.py": source, "reader.py": READER})
    assert run.code != 0 and "operator `a` could not be started" in run.stderr, run


def test_stop_all_stops_the_dataflow(run_dataflow):
    source = "from dora import DoraStatus\nclass Operator:\n    def on_event(self, event, send_output):\n        return DoraStatus.STOP_ALL\n"
    more = "  - {id: other, operator: {python: reader.py, inputs: {t: dora/timer/secs/1000}}}"
    run = run_dataflow(TWO.format(more=more), {"sender.py": source, "reader.py": READER})
    assert run.code == 0 and "operator `a` of node `rt` asked for it" in run.stderr, run


def test_what_operators_print_and_log_is_an_output_of_the_one_that_asks_for_it(run_dataflow):
    yaml = """
nodes:
  - id: rt
    operators:
      - { id: a, python: talker.py, inputs: { tick: dora/timer/millis/10 } }
      - id: b
        python: { source: talker.py }
        inputs: { tick: dora/timer/millis/10 }
        outputs: [lines, logs]
        send_stdout_as: lines
        send_logs_as: logs
  - { id: raw, operator: { python: printer.py, inputs: { line: rt/b/lines } } }
  - { id: structured, operator: { python: printer.py, inputs: { line: rt/b/logs } } }
"""
    talker = """
import logging
from dora import DoraStatus

class Operator:
    def on_event(self, event, send_output):
        print("printed")
        logging.warning("logged")
        return DoraStatus.STOP
"""
    printer = """
class Operator:
    def on_event(self, event, send_output):
        if event["type"] == "INPUT":
            print("got", event["value"][0].as_py())
"""
    run = run_dataflow(yaml, {"talker.py": talker, "printer.py": printer})
    assert run.code == 0, run
    assert run.of("raw").count("got printed") == 2, run
    logged = [line for line in run.of("structured") if '"message":"logged"' in line]
    assert len(logged) == 2 and not any("printed" in line for line in run.of("structured")), run


def test_operators_with_a_conda_environment_run_in_it_and_one_that_is_missing_is_named(run_dataflow, tmp_path):
    yaml = "nodes: [{id: rt, operator: {python: {source: where.py, conda_env: arm}, inputs: {t: dora/timer/millis/5}}}]"
    where = """
import os
from dora import DoraStatus

class Operator:
    def on_event(self, event, send_output):
        print(os.environ["CONDA_DEFAULT_ENV"], "in", os.environ["CONDA_PREFIX"], "by", os.environ["STARTED_BY"])
        return DoraStatus.STOP
"""
    root = tmp_path / "forge"
    environment = {"MAMBA_ROOT_PREFIX": str(root)}
    run = run_dataflow(yaml, {"where.py": where}, env=environment)
    assert run.code != 0 and "no conda environment `arm`" in run.stderr and "forge/envs/arm" in run.stderr, run
    python = root / "envs" / "arm" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nSTARTED_BY="$0" exec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    run = run_dataflow(yaml, {"where.py": where}, env=environment)
    assert run.code == 0, run
    assert run.of("rt") == [f"arm in {root}/envs/arm by {python}"], run


class Node:
    """What a runtime needs of a node, without a dataflow."""

    def __init__(self):
        self.sent = []
        self.closed = []

    def dataflow_descriptor(self):
        return {"nodes": []}

    def timestamp(self):
        return None

    def send_output(self, name, data, metadata=None):
        self.sent.append((name, data, metadata))

    def _has_readers(self, name):
        return True

    def _close_outputs(self, names):
        self.closed += names

    def _stop_dataflow(self, operator):
        self.closed.append(operator)


def config(operators, inputs, outputs):
    return {"inputs": inputs, "outputs": outputs, "operators": operators}


def operator(name, file, inputs, outputs=(), policy="drop_oldest", queue_size=10):
    ports = [
        {"id": f"i{number}", "outside": outside, "inside": inside, "can_recover": False, "queue_size": queue_size, "policy": policy}
        for number, (outside, inside) in enumerate(inputs)
    ]
    outs = [{"id": f"o{output}", "output": output} for output in outputs]
    return {"id": name, "source": {"python": {"source": str(file)}}, "inputs": ports, "outputs": outs}


def event(name, value):
    return {"type": "INPUT", "kind": "dora", "id": name, "value": pa.array([value]), "metadata": {}}


def runtime(*arguments):
    made = _runtime.Runtime(config(*arguments))
    made.load()
    made.join(Node())
    return made


@pytest.fixture
def file(tmp_path):
    """Writes the source of an operator."""

    def write(source, name="op.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    return write


COUNTER = """
class Operator:
    def __init__(self):
        self.count = 0
        self.step = STEP

    def on_event(self, event, send_output):
        if event["type"] == "INPUT":
            self.count += STEP
            send_output("o0", bytes([self.count]))

STEP = {step}
"""


def sends(made, times=1):
    for _ in range(times):
        made.take(event("in", 1))
    made.settle(100)
    return [data[0] for _, data, _ in made.node.sent]


def test_reload_takes_the_new_code_and_keeps_the_state(file):
    path = file(COUNTER.format(step=1))
    made = runtime([operator("a", path, [(0, [])], [0])], ["in"], ["out"])
    assert sends(made, 3) == [1, 2, 3]
    file(COUNTER.format(step=10))
    made.take({"type": "RELOAD", "kind": "dora", "id": "a"})
    assert sends(made) == [1, 2, 3, 13], "new code, old state"
    assert made.operators[0].instance.step == 1, "what was there before wins"
    assert made.operators[0].instance.dataflow_descriptor == {"nodes": []}


def test_reload_of_another_operator_changes_nothing_and_without_a_name_all_are_meant(file):
    path = file(COUNTER.format(step=1))
    made = runtime([operator("a", path, [(0, [])], [0])], ["in"], ["out"])
    file(COUNTER.format(step=10))
    made.take({"type": "RELOAD", "kind": "dora", "id": "b"})
    assert sends(made) == [1]
    made.take({"type": "RELOAD", "kind": "dora"})
    assert sends(made) == [1, 11]


def test_on_reload_decides_what_of_the_state_is_kept(file):
    path = file(COUNTER.format(step=1))
    made = runtime([operator("a", path, [(0, [])], [0])], ["in"], ["out"])
    sends(made, 3)
    file(COUNTER.format(step=2) + "\ndef keep(self, state):\n    self.seen = state['count']\nOperator.on_reload = keep\n")
    made.take({"type": "RELOAD", "kind": "dora", "id": "a"})
    assert sends(made)[-1] == 2, "the count was not asked for"
    assert made.operators[0].instance.seen == 3


@pytest.mark.parametrize("broken", ["class Operator(:\n", "raise ImportError('gone')\n", "x = 1\n"])
def test_a_reload_that_fails_keeps_the_old_code_and_says_so(broken, file, caplog):
    path = file(COUNTER.format(step=1))
    made = runtime([operator("a", path, [(0, [])], [0])], ["in"], ["out"])
    file(broken)
    made.take({"type": "RELOAD", "kind": "dora", "id": "a"})
    assert sends(made) == [1]
    assert "operator `a` was not reloaded" in caplog.text


def test_the_first_failure_after_a_reload_is_a_warning_and_the_next_ends_the_operator(file, caplog):
    path = file(COUNTER.format(step=1))
    made = runtime([operator("a", path, [(0, [])], [0])], ["in"], ["out"])
    file("class Operator:\n    def on_event(self, event, send_output):\n        raise ValueError('new code')\n")
    made.take({"type": "RELOAD", "kind": "dora", "id": "a"})
    made.settle(100)
    assert "failed after it was reloaded" in caplog.text and "new code" in caplog.text
    made.take(event("in", 1))
    with pytest.raises(_runtime.OperatorFailed, match="operator `a` failed"):
        made.settle(100)


TRACE = """
TRACE = []

class Operator:
    def on_event(self, event, send_output):
        if event["type"] == "INPUT":
            value = event["value"][0].as_py()
            seen = ("{name}", event["id"], value)
            import builtins
            builtins.dora_trace.append(seen)
            if value < {most}:
                import pyarrow as pa
                send_output("o{out}", pa.array([value + 1]))
"""


def test_operators_run_by_logical_time_and_then_in_the_order_of_declaration(file, monkeypatch):
    import builtins

    monkeypatch.setattr(builtins, "dora_trace", [], raising=False)
    files = [file(TRACE.format(name=name, most=4, out=n), f"{name}.py") for n, name in enumerate("abc")]
    made = runtime(
        [
            operator("a", files[0], [(0, []), (None, [2])], [0]),
            operator("b", files[1], [(None, [0])], [1]),
            operator("c", files[2], [(None, [0]), (None, [1])], [2]),
        ],
        ["in"],
        ["x", "y", "z"],
    )
    made.take(event("in", 1))
    made.take(event("in", 3))
    made.settle(100)
    first = [("a", "i0", 1), ("b", "i0", 2), ("c", "i0", 2), ("c", "i1", 3), ("a", "i1", 3), ("a", "i1", 4)]
    assert builtins.dora_trace[:6] == first
    assert builtins.dora_trace[6:8] == [("b", "i0", 4), ("c", "i0", 4)]
    assert builtins.dora_trace[8:] == [("a", "i0", 3), ("b", "i0", 4), ("c", "i0", 4)]


def test_a_full_queue_drops_its_oldest_or_refuses_by_its_policy(file):
    sender = file("class Operator:\n    def on_event(self, event, send_output):\n        for n in range(self.n): send_output('o0', bytes([n]))\n    n = 150\n")
    reader = file("class Operator:\n    seen = []\n    def on_event(self, event, send_output):\n        self.seen.append(event['value'][0].as_py())\n", "reader.py")
    made = runtime([operator("a", sender, [(0, [])], [0]), operator("b", reader, [(None, [0])], queue_size=3)], ["in"], ["x"])
    made.take(event("in", 1))
    made.settle(100)
    assert made.operators[1].instance.seen == [147, 148, 149] and made.operators[1].dropped == 147
    keeps = operator("b", reader, [(None, [0])], queue_size=3, policy="backpressure")
    made = runtime([operator("a", sender, [(0, [])], [0]), keeps], ["in"], ["x"])
    made.take(event("in", 1))
    with pytest.raises(_runtime.OperatorFailed, match="has 100 messages at its input `i0`"):
        made.settle(100)


def test_an_operator_that_stops_closes_its_outputs(file):
    source = "class Operator:\n    def on_event(self, event, send_output):\n        return {status}\n"
    reader = file("class Operator:\n    seen = []\n    def on_event(self, event, send_output):\n        self.seen.append((event['type'], event['id']))\n", "reader.py")
    for status, closed in [(DoraStatus.STOP, ["x"]), (DoraStatus.STOP_ALL, ["a", "x"])]:
        stops = file(source.format(status=int(status)))
        made = runtime([operator("a", stops, [(0, [])], [0]), operator("b", reader, [(None, [0])])], ["in"], ["x"])
        made.take(event("in", 1))
        made.settle(100)
        assert made.node.closed == closed
        assert made.operators[1].instance.seen == [("INPUT_CLOSED", "i0"), ("STOP", "ALL_INPUTS_CLOSED")]
        assert made.operators[1].ended
