"""Every Python example, run as its README says and compared with its `expected.txt`.

A line of `expected.txt` is `node: message` and must be among the lines of the run; what differs from run to run is not
in it. Each example runs in a copy of its folder.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import HUNG, ROOT, Ended

#: With edges on which messages may go missing by design: the streaming example flushes its queue.
EXAMPLES = {
    "module-dataflow": [],
    "python-async": [],
    "python-concurrent-rw": [],
    "python-dataflow": [],
    "python-dataflow-builder": [],
    "python-drain": [],
    "python-echo": [],
    "python-log": [],
    "python-logging": [],
    "python-multiple-arrays": [],
    "python-operator-dataflow": [],
    "streaming-example": ["sink/chunk"],
    "typed-dataflow": [],
}


@pytest.fixture
def example(tmp_path):
    """Copies the folder of an example."""

    def copy(name):
        folder = tmp_path / name
        ignored = shutil.ignore_patterns("out", "__pycache__")
        shutil.copytree(ROOT / "examples" / name, folder, ignore=ignored)
        return folder

    return copy


def compare(run, folder):
    assert run.code == 0, run
    for expected in (folder / "expected.txt").read_text(encoding="utf-8").splitlines():
        assert expected in run.lines, f"`{expected}` is missing:\n{run}"
    assert not any("Traceback" in line for line in run.lines), run


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example_says_what_it_should_and_loses_nothing(name, example, run_dataflow):
    folder = example(name)
    run = run_dataflow(folder / "dataflow.yml")
    compare(run, folder)
    lossy = EXAMPLES[name]
    for edge in run.report["edges"]:
        assert edge["to"] in lossy or edge["taken"] == edge["sent"] > 0, edge


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_readme_has_the_one_command_that_runs_it(name):
    folder = ROOT / "examples" / name
    readme = (folder / "README.md").read_text(encoding="utf-8")
    script = f"python examples/{name}/build_and_run.py"
    assert f"dora run examples/{name}/dataflow.yml" in readme or script in readme


def test_log_example_gives_every_entry_its_level_and_its_source(example, run_dataflow):
    run = run_dataflow(example("python-log") / "dataflow.yml")
    entries = {log["message"]: log for log in run.logs if log["node_id"] == "talker"}
    for message, level, target in [
        ("round 1: printed", "stdout", None),
        ("round 1: by way of logging", "INFO", "talker.motor"),
        ("a detail", "DEBUG", "talker.motor"),
        ("motor at 81 degrees", "WARN", "talker.motor"),
        ("motor too hot", "ERROR", "motor"),
    ]:
        entry = entries[message]
        assert (entry["level"], entry["target"]) == (level, target), entry
    assert entries["round 1: by way of the node"]["level"] == "INFO"
    assert entries["motor too hot"]["fields"]["degrees"] == "95"
    assert entries["a detail"]["file"].endswith("talker.py"), "the place in the source is known"


def test_log_example_shows_less_when_asked_for_less(example, run_dataflow):
    run = run_dataflow(example("python-log") / "dataflow.yml", None, "--log-level", "warn")
    assert run.of("talker") == ["motor at 81 degrees", "motor too hot"]


def test_logging_example_drops_debug_entries_and_rotates_its_file(example, run_dataflow):
    folder = example("python-logging")
    run = run_dataflow(folder / "dataflow.yml")
    assert not any("raw value" in message for message in run.of("sensor"))
    (out,) = (folder / "out").iterdir()
    files = sorted(path.name for path in out.glob("log_sensor*"))
    assert files == ["log_sensor.1.jsonl", "log_sensor.2.jsonl", "log_sensor.3.jsonl", "log_sensor.jsonl"]
    newest = [json.loads(line) for line in (out / "log_sensor.1.jsonl").read_text(encoding="utf-8").splitlines()]
    assert newest and all(entry["level"] == "info" for entry in newest)


def test_builder_example_writes_the_file_in_its_folder_and_runs_it(example, clean_env):
    folder = example("python-dataflow-builder")
    written = (folder / "dataflow.yml").read_text(encoding="utf-8")
    (folder / "dataflow.yml").unlink()
    completed = subprocess.run(
        [sys.executable, str(folder / "build_and_run.py")],
        env=clean_env,
        capture_output=True,
        text=True,
        timeout=HUNG,
        check=False,
    )
    assert completed.returncode == 0, Ended(completed, folder)
    assert (folder / "dataflow.yml").read_text(encoding="utf-8") == written, "commit the file that the builder writes"
    shown = completed.stdout + completed.stderr
    for line in ("fast: 55", "slow: 55"):
        assert line in shown, shown


def test_every_arrow_type_goes_through_python_c_and_cxx_unchanged(example, run_dataflow):
    natives = os.environ.get("DORA_NATIVE_NODES")
    compilers = [os.environ.get("CC", "cc"), os.environ.get("CXX", "c++")]
    if natives is None or not all(map(shutil.which, compilers)):
        pytest.skip("needs a C and a C++ compiler, and in DORA_NATIVE_NODES the nodes in Rust and libdora_node_api_c.so")
    folder = example("cross-language")
    (folder / "build").mkdir()
    paths = [f"-I{ROOT}/node-apis/{api}/include" for api in ("c", "cxx")] + [f"-L{natives}", f"-Wl,-rpath,{natives}"]
    for compiler, source, program, standard in [
        (compilers[0], "relay.c", "relay_c", "-std=c11"),
        (compilers[1], "relay.cc", "relay_cxx", "-std=c++17"),
    ]:
        command = [compiler, standard, "-D_GNU_SOURCE", *paths, source, "-o", f"build/{program}", "-ldora_node_api_c", "-pthread"]
        made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
    descriptor = folder / "dataflow.yml"
    text = descriptor.read_text(encoding="utf-8")
    descriptor.write_text(text.replace("../../target/release", natives), encoding="utf-8")
    run = run_dataflow(descriptor)
    assert run.code == 0, run
    (said,) = [line for line in run.of("check") if line.startswith("all ")]
    count = int(said.split()[1])
    assert count >= 100 and said.endswith("arrays came through unchanged"), said
    assert len(run.report["edges"]) == 4 and all(edge["taken"] == count for edge in run.report["edges"]), run
