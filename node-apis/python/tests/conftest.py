"""What the tests share: the `dora` command, and real runs of small dataflows.

`DORA_BIN` names the binary to test; without it the `dora` on PATH is taken. Nodes run in the interpreter that runs
pytest.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
#: Seconds after which a run has hung. Far more than any test needs: the machine may be busy.
HUNG = 180


class Ended:
    """What a finished `dora run` left behind."""

    def __init__(self, completed, folder):
        #: Exit code of `dora`.
        self.code = completed.returncode
        self.stdout = completed.stdout
        self.stderr = completed.stderr
        #: Where the descriptor, the nodes and `out/` are.
        self.folder = folder
        #: Every log line as a dict: `node_id`, `level`, `message`, `target`, `fields`, ...
        self.logs = [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]
        #: The same as `node: message`, in the order of arrival.
        self.lines = [f"{log['node_id'] or 'dora'}: {log['message']}" for log in self.logs]
        #: `--report json`; `None` when there is none.
        self.report = json.loads(self.stdout) if self.stdout.startswith("{") else None

    def of(self, node, level=None):
        """The messages of one node, in order."""
        wanted = (log for log in self.logs if log["node_id"] == node)
        return [log["message"] for log in wanted if level is None or log["level"].lower() == level]

    def edge(self, to):
        """The row of the report about the edge into `node/input`."""
        return next(row for row in self.report["edges"] if row["to"] == to)

    def __repr__(self):
        return f"exit code {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


@pytest.fixture(scope="session")
def dora_bin():
    """The command under test."""
    found = os.environ.get("DORA_BIN") or shutil.which("dora")
    assert found, "set DORA_BIN to the `dora` binary, or put it on PATH"
    return str(Path(found).resolve())


@pytest.fixture(scope="session")
def clean_env():
    """This environment with nothing in it that changes what dora does, and this interpreter as the active one."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DORA_")}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    if sys.prefix != sys.base_prefix:
        env["VIRTUAL_ENV"] = sys.prefix
    else:
        env.pop("VIRTUAL_ENV", None)
    return env


@pytest.fixture
def dora(dora_bin, clean_env, tmp_path):
    """`dora(*args, cwd=..., env=...)` runs the command and gives a `subprocess.CompletedProcess` with text."""

    def run(*args, cwd=tmp_path, env=None, timeout=HUNG):
        command = [dora_bin, *map(str, args)]
        return subprocess.run(
            command,
            cwd=cwd,
            env={**clean_env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def run_dataflow(dora, tmp_path):
    """`run_dataflow(yaml, {"node.py": source, ...}, *flags)` writes the files to a folder, runs them, gives `Ended`.

    `yaml` is the text of a descriptor, or the path of one that is run where it lies.
    """

    def run(yaml, sources=None, *flags, env=None, timeout=HUNG):
        if isinstance(yaml, Path):
            descriptor = yaml
        else:
            descriptor = tmp_path / "dataflow.yml"
            descriptor.write_text(yaml, encoding="utf-8")
        for name, source in (sources or {}).items():
            (tmp_path / name).write_text(source, encoding="utf-8")
        completed = dora(
            "run",
            descriptor,
            "--report",
            "json",
            "--log-format",
            "json",
            *flags,
            cwd=descriptor.parent,
            env=env,
            timeout=timeout,
        )
        return Ended(completed, descriptor.parent)

    return run
