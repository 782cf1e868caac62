"""Runs one dataflow to its end and brings back what its nodes measured."""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path

NODES = Path(__file__).resolve().parents[1] / "nodes"
#: Seconds after which a run has hung.
HUNG = 300


class Failed(RuntimeError):
    """A run that did not come to its end."""


def node(name, script, inputs=None, outputs=(), settings=None, folder=None):
    """A node of a descriptor. `settings` become variables of its environment."""
    described = {"id": name, "path": str(NODES / script), "env": {}}
    if inputs:
        described["inputs"] = inputs
    if outputs:
        described["outputs"] = list(outputs)
    for key, value in (settings or {}).items():
        described["env"][f"BENCH_{key.upper()}"] = str(value)
    if folder is not None:
        described["env"]["BENCH_RESULT"] = str(Path(folder) / f"{name}.json")
    return described


class Folder:
    """A temporary folder in which one dataflow runs."""

    def __init__(self, environment):
        self.environment = environment
        self._folder = tempfile.TemporaryDirectory(prefix="dora-bench-")
        self.path = Path(self._folder.name)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._folder.cleanup()

    def start(self, nodes, *flags, quiet=False):
        """Starts `dora run`; what it says goes to a file, or with `quiet` only what it says on stdout.

        A descriptor in JSON is one in YAML.
        """
        descriptor = self.path / "dataflow.yml"
        descriptor.write_text(json.dumps({"nodes": nodes}), encoding="utf-8")
        err_path = os.devnull if quiet else self.path / "stderr"
        with open(self.path / "stdout", "wb") as out, open(err_path, "wb") as err:
            return subprocess.Popen(
                [str(self.environment.dora), "run", str(descriptor), *flags],
                cwd=self.path,
                env=self.environment.variables(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def finish(self, running, timeout=HUNG):
        """Waits for the end. Raises with the last lines that were said if it is not a good one."""
        try:
            code = running.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            raise Failed(f"{self.environment.name}: no end after {timeout} s\n{self.said()}") from None
        if code:
            raise Failed(f"{self.environment.name}: `dora run` ended with {code}\n{self.said()}")

    def run(self, nodes, *flags, timeout=HUNG):
        """Runs to the end."""
        self.finish(self.start(nodes, *flags), timeout)

    def said(self):
        """The last lines of the run; of a report in JSON, what went wrong in it."""
        try:
            report = json.loads((self.path / "stdout").read_text(encoding="utf-8"))
            wrong = [node for node in report["nodes"] if node["error"]]
            return "\n".join(f"{node['node']}: exit {node['exit']}: {node['error']} {node['stderr_tail']}" for node in wrong)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        files = [path for path in (self.path / "stdout", self.path / "stderr") if path.exists()]
        text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)
        return "\n".join(text.splitlines()[-30:])

    def result(self, name):
        """What a node measured."""
        try:
            return json.loads((self.path / f"{name}.json").read_text(encoding="ascii"))
        except FileNotFoundError:
            raise Failed(f"{self.environment.name}: node `{name}` left no result\n{self.said()}") from None


def seconds_to_first_message(environment):
    """From before `dora run` is started until the receiving node has its first message, as seen from outside."""
    with Folder(environment) as folder:
        pipe = folder.path / "first"
        os.mkfifo(pipe)
        # Open at both ends, so that nobody waits for the other side to be opened.
        end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        try:
            nodes = [
                node("sender", "first_sender.py", outputs=["data"]),
                node("receiver", "first_receiver.py", inputs={"data": "sender/data"}, settings={"pipe": pipe}),
            ]
            start = time.monotonic()
            running = folder.start(nodes)
            ready, _, _ = select.select([end], [], [], 60)
            first = time.monotonic()
            folder.finish(running, 60)
            if not ready:
                raise Failed(f"{environment.name}: no first message\n{folder.said()}")
            return first - start
        finally:
            os.close(end)
