"""`dora.build` and `dora.run` are the commands, called from Python."""

import subprocess
import sys

import pytest


@pytest.fixture
def python(clean_env, dora_bin, tmp_path):
    """Runs a script that finds the command under test first on its PATH."""
    import os

    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "dora").symlink_to(dora_bin)
    # A link to the interpreter from a folder without `dora`, so that PATH decides.
    path = os.pathsep.join([str(folder), clean_env["PATH"]])

    def run(script, path=path, timeout=180):
        before = "import sys; sys.executable = '/nowhere/python'\n"
        return subprocess.run(
            [sys.executable, "-c", before + script],
            cwd=tmp_path,
            env={**clean_env, "PATH": path},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    return run


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")


FLOW = """
nodes:
  - id: test
    path: node.py
    build: echo built it
    inputs: {tick: dora/timer/millis/50}
"""


def test_a_dataflow_is_built_and_run(python, tmp_path):
    write(tmp_path, flow_yml=FLOW, node_py="from dora import Node; Node().next(); print('a tick came')")
    ended = python("import dora, pathlib; dora.build('flow.yml'); dora.run(pathlib.Path('flow.yml'))")
    assert ended.returncode == 0, ended.stderr
    assert "built it" in ended.stdout + ended.stderr and "a tick came" in ended.stdout + ended.stderr


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="needs to be called from a virtual environment")
def test_nodes_run_in_the_interpreter_that_called(python, tmp_path, dora_bin, clean_env):
    import os

    write(tmp_path, flow_yml=FLOW, node_py="import sys; print('prefix is', sys.prefix)\nfrom dora import Node; Node()")
    env = {name: value for name, value in clean_env.items() if name != "VIRTUAL_ENV"}
    env["PATH"] = os.pathsep.join([str(tmp_path / "bin"), "/usr/bin", "/bin"])
    command = [sys.executable, "-c", "import dora; dora.run('flow.yml')"]
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ended.returncode == 0 and f"prefix is {sys.prefix}" in ended.stdout + ended.stderr, ended


def test_a_run_stops_after_the_given_seconds(python, tmp_path):
    write(tmp_path, flow_yml=FLOW, node_py="from dora import Node; print([e['type'] for e in Node()][-1])")
    ended = python("import dora; dora.run('flow.yml', stop_after=0.5)")
    assert ended.returncode == 0 and "STOP" in ended.stdout + ended.stderr, ended


def test_failures_are_exceptions_with_the_last_lines(python, tmp_path):
    write(tmp_path, flow_yml=FLOW, node_py="raise ValueError('the lens is dirty')")
    script = """
import dora
for call, path, word in [(dora.run, "flow.yml", "the lens is dirty"), (dora.build, "missing.yml", "missing.yml")]:
    try:
        call(path)
    except RuntimeError as raised:
        assert word in str(raised) and "failed with exit code" in str(raised), raised
    else:
        raise AssertionError(path)
try:
    dora.run("flow.yml", stop_after=-1)
except ValueError:
    pass
"""
    ended = python(script)
    assert ended.returncode == 0, ended.stderr


def test_without_the_command_the_error_says_how_to_get_it(python):
    ended = python("import dora; dora.run('flow.yml')", path="/nowhere")
    assert ended.returncode != 0 and "pip install dora-rs-cli" in ended.stderr, ended


def test_ctrl_c_stops_the_run_and_comes_back_as_keyboard_interrupt(python, tmp_path):
    write(
        tmp_path,
        flow_yml=FLOW,
        node_py="from dora import Node\nfor event in Node():\n    print(event['type'], flush=True)\n",
    )
    script = """
import os, signal, threading
import dora
threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    dora.run("flow.yml")
except KeyboardInterrupt:
    print("interrupted")
"""
    ended = python(script)
    assert ended.returncode == 0 and "interrupted" in ended.stdout, ended
    assert "STOP" in ended.stdout + ended.stderr, "the dataflow was not stopped gracefully"
