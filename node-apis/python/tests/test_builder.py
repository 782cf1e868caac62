"""`dora.builder`: what it writes, what it refuses, and that `dora validate` takes it."""

import ast
import importlib
import inspect
import json
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from dora import builder
from dora.builder import DataflowBuilder, Node, Operator, Output


def parsed(flow):
    return yaml.safe_load(flow.to_yaml())


def full():
    """A dataflow with a bit of everything."""
    flow = DataflowBuilder("full", strict_types=False, health_check_interval=2.5, env={"LEVEL": 3})
    camera = flow.add_node("camera", description="frames", cpu_affinity=(0,), restart_policy="on-failure")
    camera.path(Path("nodes") / "camera.py").args(["--title", "two words"]).env({"A": True}).env({"B": "1.10"})
    camera.build("echo one\necho two").add_input("tick", "dora/timer/millis/50")
    image = camera.add_output("image")
    runtime = flow.add_node("runtime")
    detector = Operator("detector", python="detect.py").add_input("image", image, queue_size=1)
    boxes = detector.add_output("boxes")
    runtime.add_operator(detector)
    plot = flow.add_node("plot").path("plot.py").add_input("image", image)
    plot.add_input("boxes", boxes, queue_size=3, queue_policy="backpressure", input_timeout=0.5, deadline="500us")
    return flow


def test_nodes_keep_their_order_and_every_value_reaches_the_file():
    flow = parsed(full())
    assert [node["id"] for node in flow["nodes"]] == ["camera", "runtime", "plot"]
    assert (flow["strict_types"], flow["health_check_interval"], flow["env"]) == (False, 2.5, {"LEVEL": 3})
    camera, runtime, plot = flow["nodes"]
    assert camera == {
        "id": "camera",
        "description": "frames",
        "cpu_affinity": [0],
        "restart_policy": "on-failure",
        "path": "nodes/camera.py",
        "args": "--title 'two words'",
        "env": {"A": True, "B": "1.10"},
        "build": "echo one\necho two",
        "inputs": {"tick": "dora/timer/millis/50"},
        "outputs": ["image"],
    }
    assert runtime["operators"] == [
        {
            "id": "detector",
            "python": "detect.py",
            "inputs": {"image": {"source": "camera/image", "queue_size": 1}},
            "outputs": ["boxes"],
        }
    ]
    assert plot["inputs"]["boxes"] == {
        "source": "runtime/detector/boxes",
        "queue_size": 3,
        "queue_policy": "backpressure",
        "input_timeout": 0.5,
        "deadline": "500us",
    }


def test_what_is_written_passes_validate(dora, tmp_path):
    assert full().to_yaml(tmp_path / "full.yml") is None
    checked = dora("validate", "full.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "wiring OK" in checked.stdout


def test_strange_texts_reach_validate_as_texts(dora, tmp_path):
    flow = DataflowBuilder("two\nlines: [")
    values = {"YES": "yes", "VERSION": "1.10", "NULL": "null", "COLON": "a: b # c", "LINES": "x\n y\n", "UTF": "größe"}
    flow.add_node("n", description="'quoted' \"twice\"").path("n.py").env(values)
    assert parsed(flow)["nodes"][0]["env"] == values
    flow.to_yaml(tmp_path / "strange.yml")
    checked = dora("validate", "strange.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_wrong_output_name_is_found_by_validate(dora, tmp_path):
    flow = DataflowBuilder()
    flow.add_node("a").path("a.py").add_output("out")
    flow.add_node("b").path("b.py").add_input("in", "a/oot")
    flow.to_yaml(tmp_path / "wrong.yml")
    checked = dora("validate", "wrong.yml")
    assert checked.returncode != 0
    assert "oot" in checked.stderr and "out" in checked.stderr


def test_the_name_of_the_dataflow_is_written_on_one_line():
    assert full().to_yaml().startswith("# full\n")
    assert DataflowBuilder("a\nnodes: x").to_yaml().splitlines()[0] == "# a nodes: x"


def test_outputs_are_declared_once_and_print_as_they_are_wired():
    node = DataflowBuilder().add_node("a")
    first, second = node.add_output("out"), node.add_output("out")
    assert str(first) == str(second) == "a/out"
    assert isinstance(first, Output) and first.node is node and first.output_id == "out"
    assert node.to_dict() == {"id": "a", "outputs": ["out"]}


def test_methods_of_a_node_chain():
    node = DataflowBuilder().add_node("a")
    chained = node.path("x").args("-v").env({}).build("make").git("https://example.org/x.git", rev="1")
    assert chained.add_input("in", "b/out").add_operator(Operator("op", shared_library="lib")) is node
    assert node.to_dict() == {
        "id": "a",
        "path": "x",
        "args": "-v",
        "env": {},
        "build": "make",
        "git": "https://example.org/x.git",
        "rev": "1",
        "operators": [{"id": "op", "shared-library": "lib"}],
        "inputs": {"in": "b/out"},
    }


@pytest.mark.parametrize("size", [0, -1])
def test_a_queue_holds_at_least_one(size):
    with pytest.raises(ValueError, match="`in`.*queue_size.*at least 1"):
        Node("a").add_input("in", "b/out", queue_size=size)


def test_a_queue_size_is_an_int():
    for size in (1.5, "3", True):
        with pytest.raises(TypeError, match="`in`.*queue_size"):
            Node("a").add_input("in", "b/out", queue_size=size)


def test_a_wrong_queue_policy_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean `drop_oldest`"):
        Node("a").add_input("in", "b/out", queue_policy="drop-oldest")
    with pytest.raises(ValueError, match="`backpressure`"):
        Node("a").add_input("in", "b/out", queue_policy="zzz")


def test_an_unknown_key_names_the_nearest_known():
    for make, wanted in [
        (lambda: DataflowBuilder().add_node("cam", restart_polcy="always"), "node `cam`.*`restart_policy`"),
        (lambda: Node("cam").set(cpu_afinity=[1]), "`cpu_affinity`"),
        (lambda: Operator("op", sharedlibrary="x"), "operator `op`.*`shared[-_]library`"),
        (lambda: DataflowBuilder(strict_type=True), "`strict_types`"),
        (lambda: Node("cam", inputs={"in": {"source": "a/b", "queue": 1}}), "input `in`.*`queue"),
    ]:
        with pytest.raises(ValueError, match=wanted):
            make()


def test_mistakes_in_the_wiring_of_python_objects_are_errors_at_once():
    flow = DataflowBuilder("f")
    flow.add_node("a")
    with pytest.raises(ValueError, match="`a` is already in dataflow `f`"):
        flow.add_node("a")
    with pytest.raises(TypeError, match="`in`"):
        Node("b").add_input("in", flow.nodes[0])
    operator = Operator("op")
    with pytest.raises(ValueError, match="`op` is in no node"):
        str(operator.add_output("x"))
    Node("c").add_operator(operator)
    with pytest.raises(ValueError, match="already in node `c`"):
        Node("d").add_operator(operator)
    with pytest.raises(ValueError, match="at most one"):
        Node("e").git("https://example.org", branch="x", tag="y")


def test_keys_that_have_a_method_say_which():
    with pytest.raises(ValueError, match="`inputs` is set by `add_input`"):
        Node("a").set(inputs={"in": "b/out"})


def test_a_key_can_be_taken_back():
    node = Node("a", path="x", restart_policy="always").set(restart_policy=None)
    assert node.to_dict() == {"id": "a", "path": "x"}


def test_the_keys_are_those_of_the_schema():
    schema = json.loads((ROOT / "dora-schema.json").read_text(encoding="utf-8"))
    definitions = schema.get("$defs") or schema["definitions"]
    assert set(builder._DATAFLOW_KEYS) | {"nodes"} == set(schema["properties"])
    for name, known in [
        ("node", builder._NODE_KEYS),
        ("operator", builder._OPERATOR_KEYS),
        ("input", builder._INPUT_KEYS),
    ]:
        assert set(known) == set(definitions[name]["properties"]), name


def stubs(module):
    """Names of functions by class, and their parameters, as a stub declares them."""
    tree = ast.parse(Path(module.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    return {
        (thing.name, function.name): [a.arg for a in function.args.args + function.args.kwonlyargs]
        for thing in tree.body
        if isinstance(thing, ast.ClassDef)
        for function in thing.body
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


@pytest.mark.parametrize("name", ["builder", "testing"])
def test_stubs_declare_what_is_there(name):
    module = importlib.import_module(f"dora.{name}")
    special = ("__init__", "__iter__", "__next__", "__str__", "__enter__", "__exit__")
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = {
        (cls.__name__, function): [p.name for p in inspect.signature(value).parameters.values() if p.kind in named]
        for cls in vars(module).values()
        if inspect.isclass(cls) and cls.__module__ == module.__name__
        for function, value in vars(cls).items()
        if inspect.isfunction(value) and (not function.startswith("_") or function in special)
    }
    inner = {("_Ports", "__init__"), ("_Dumper", "ignore_aliases")}
    assert stubs(module) == {key: found[key] for key in found.keys() - inner}
