"""`examples/dynamic-agent-tools`: its script as a user runs it, its calculator, and its tools for looking at a dataflow."""

import importlib.util
import os
import shutil
import socket
import subprocess
import time

import pytest

from conftest import HUNG, ROOT

EXAMPLE = ROOT / "examples" / "dynamic-agent-tools"


def free_port():
    """Nobody has it now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Copy:
    """A copy of the example whose agent is five times as fast, with a home folder and a port of its own."""

    def __init__(self, dora_bin, clean_env, tmp_path):
        self.folder = tmp_path / "example"
        shutil.copytree(EXAMPLE, self.folder, ignore=shutil.ignore_patterns("out", "__pycache__"))
        descriptor = self.folder / "dataflow.yml"
        text = descriptor.read_text(encoding="utf-8")
        assert "millis/1000" in text
        descriptor.write_text(text.replace("millis/1000", "millis/200"), encoding="utf-8")
        for name in ("home", "run"):
            (tmp_path / name).mkdir(mode=0o700)
        self.port = free_port()
        self.env = {**clean_env, "HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
        self.env.update(DORA=dora_bin, DORA_COORDINATOR_PORT=str(self.port))
        if "PYTHONPATH" in os.environ:
            self.env["PYTHONPATH"] = os.environ["PYTHONPATH"]

    def run(self, *command):
        """What it printed; it must succeed."""
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=HUNG,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
        return ran.stdout

    def dora(self, *args):
        return self.run(self.env["DORA"], *args)

    def wait_for_line(self, node, text):
        """Until the node has printed a line with this in it."""
        end = time.monotonic() + HUNG
        while text not in (logs := self.dora("logs", "it", node)):
            assert time.monotonic() < end, f"`{text}` did not come: {logs}"
            time.sleep(0.05)


@pytest.fixture
def copy(dora_bin, clean_env, tmp_path):
    made = Copy(dora_bin, clean_env, tmp_path)
    yield made
    # Whatever a test that failed has left running.
    subprocess.run([dora_bin, "down", "--force"], env=made.env, capture_output=True, timeout=HUNG, check=False)


def test_agent_gets_a_tool_while_it_runs_loses_it_and_gets_it_back(copy):
    printed = copy.run("sh", "run.sh")
    at = 0
    for expected in [
        "agent: echo says: wish 1\n",
        "agent: nobody offers calc\n",
        "node `calc-tool` added\n",
        "agent/tool-request -> calc-tool/request\n",
        "calc-tool/response -> agent/tool-response\n",
        "agent: calc says: \n",
        "node `calc-tool` removed\n",
        "agent: nobody offers calc\n",
        "node `calc-tool` added\n",
        "agent: calc says: \n",
        "agent\necho-tool\ncalc-tool\n",
        "stopped the daemon and the coordinator\n",
    ]:
        found = printed.find(expected, at)
        assert found >= 0, f"`{expected.strip()}` does not come in its turn: {printed}"
        at = found + len(expected)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", copy.port)).close()

    (log,) = (copy.folder / "out").glob("*/log_agent.jsonl")
    said = log.read_text(encoding="utf-8")
    assert "calc says: " in said and " * 7 = " in said, said
    assert "there are no tools" not in said, "one of two sources is gone, the input is not closed: " + said
    assert "Traceback" not in said, said


def test_tap_shows_what_flows_and_a_probe_sends_what_nobody_else_does(copy):
    copy.dora("up")
    copy.dora("start", "dataflow.yml", "--name", "it", "--detach")
    copy.dora("node", "add", "--from-yaml", "tap-node.yml")
    copy.dora("node", "connect", "agent/tool-request", "tap/request")
    copy.dora("node", "connect", "echo-tool/response", "tap/answer")
    copy.wait_for_line("tap", "\"tool\": \"echo\"")
    copy.wait_for_line("tap", "answer ['wish ")
    copy.dora("node", "apply", "probe-patch.yml")
    copy.wait_for_line("tap", "answer ['it works']")
    copy.dora("down")


@pytest.fixture
def calculator():
    """The module of the tool; it joins no dataflow when it is only imported."""
    spec = importlib.util.spec_from_file_location("calc_tool", EXAMPLE / "calc_tool.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_calculator_calculates_and_says_what_it_cannot(calculator):
    assert calculator.answer("2 * (3 + 4) - -1") == "2 * (3 + 4) - -1 = 15"
    for wrong in ("1 / 0", "2 +", "__import__('os')", "'a' * 9", "2 ** 9", "(" * 500 + ")" * 500):
        assert calculator.answer(wrong).startswith(f"cannot calculate `{wrong}`: "), wrong
