"""What runs beside the loop: each load is some nodes, perhaps something outside, and what it says it did."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from pybench import flow

NODES = Path(__file__).resolve().parent / "nodes"


class Load:
    """Nothing beside the loop."""

    name = "off"

    def nodes(self, folder):
        """More nodes for the descriptor."""
        del folder
        return []

    def begin(self, folder, seconds):
        """The dataflow has been started, and will be stopped not before `seconds` from now."""

    def end(self):
        """The dataflow is over."""

    def did(self, folder, report):
        """What the load really did, by name. Raises when it did not do its work."""
        del folder, report
        return {}


class Python(Load):
    """A Python node that holds the GIL, allocates hundreds of MB and sends 30 MB/s to another one."""

    name = "python"

    def nodes(self, folder):
        result = {"BENCH_RESULT": str(folder.path / "hog.json")}
        hog = {"id": "hog", "path": str(NODES / "hog.py"), "env": result, "inputs": {"tick": "dora/timer/micros/166667"}}
        sink = {"id": "sink", "path": str(NODES / "sink.py"), "inputs": {"data": "hog/data"}}
        return [{**hog, "outputs": ["data"]}, sink]

    def did(self, folder, report):
        hog = folder.result("hog")
        (edge,) = (edge for edge in report["edges"] if edge["to"] == "sink/data")
        if not hog["held"] or not edge["taken"]:
            raise flow.Failed(f"the Python node did not do its work: {hog}, {edge}")
        return {
            "MB/s sent": hog["sent"] / 1e6 / hog["seconds"],
            "messages received of those sent": edge["taken"] / edge["sent"],
            "MB/s allocated": hog["allocated"] / 1e6 / hog["seconds"],
            "computed without letting go of the GIL": hog["held"] / hog["messages"],
        }


class Control(Load):
    """The control side at its limit: 100 MB/s of logs from a node, and `dora validate` in a loop."""

    name = "control"

    def __init__(self):
        self._over = threading.Event()
        self._thread = None
        self._validated = 0

    def nodes(self, folder):
        result = {"BENCH_RESULT": str(folder.path / "chatter.json")}
        chatter = {"id": "chatter", "path": str(NODES / "chatter.py"), "env": result}
        # An input that never comes within a run keeps the node until it is stopped. Old lines are not kept.
        limits = {"max_log_size": "20MB", "max_rotated_files": 1}
        return [{**chatter, **limits, "inputs": {"tick": "dora/timer/secs/3600"}}]

    def begin(self, folder, seconds):
        del seconds
        command = [str(folder.environment.dora), "validate", str(folder.path / "dataflow.yml")]
        self._over.clear()
        self._validated = 0

        def validate():
            while not self._over.is_set():
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                self._validated += 1

        self._thread = threading.Thread(target=validate)
        self._thread.start()

    def end(self):
        self._over.set()
        self._thread.join()

    def did(self, folder, report):
        chatter = folder.result("chatter")
        if not chatter["bytes"] or not self._validated:
            raise flow.Failed(f"the control side was not tortured: {chatter}, {self._validated} validations")
        return {
            "MB/s of logs": chatter["bytes"] / 1e6 / chatter["seconds"],
            "validations per second": self._validated / report["wall_s"],
        }


class Restarts(Load):
    """Two nodes that are wired to each other and killed, in turn, ten times a second; dora starts each again at once."""

    name = "restarts"

    def __init__(self):
        self._over = threading.Event()
        self._thread = None
        self._killed = 0

    def nodes(self, folder):
        def mortal(name, other):
            again = {"path": str(NODES / "mortal.py"), "restart_policy": "always", "outputs": ["data"]}
            inputs = {"tick": "dora/timer/millis/10", "data": f"{other}/data"}
            return {**again, "id": name, "inputs": inputs, "env": {"BENCH_PID": str(folder.path / f"{name}.pid")}}

        return [mortal("first", "second"), mortal("second", "first")]

    def begin(self, folder, seconds):
        self._over.clear()
        self._killed = 0
        # Who is killed while dora stops it has not been stopped well, and the run would say so.
        last = time.monotonic() + seconds - 0.5

        def kill():
            turn = 0
            while not self._over.wait(0.1) and time.monotonic() < last:
                turn += 1
                note = folder.path / f"{('first', 'second')[turn % 2]}.pid"
                try:
                    pid = int(note.read_text(encoding="ascii"))
                    # Once each: the number may be somebody else's later.
                    note.unlink()
                    os.kill(pid, signal.SIGKILL)
                    self._killed += 1
                except (OSError, ValueError):
                    # Not up again yet.
                    continue

        self._thread = threading.Thread(target=kill)
        self._thread.start()

    def end(self):
        self._over.set()
        self._thread.join()

    def did(self, folder, report):
        del folder
        if not self._killed:
            raise flow.Failed("no node was killed")
        return {"nodes killed per second": self._killed / report["wall_s"]}


class Outside(Load):
    """Two processes that have nothing to do with dora and copy memory: what the loop feels of any neighbour at all."""

    name = "outside"
    _SCRIPT = "source = bytearray(8 << 20)\nwhile True:\n    bytes(source)\n"

    def __init__(self):
        self._processes = []

    def begin(self, folder, seconds):
        del seconds
        command = [str(folder.environment.programs / "python"), "-c", self._SCRIPT]
        self._processes = [subprocess.Popen(command) for _ in range(2)]

    def end(self):
        for process in self._processes:
            process.kill()
            process.wait()

    def did(self, folder, report):
        del folder
        if any(process.returncode != -signal.SIGKILL for process in self._processes):
            raise flow.Failed("a process that was to copy memory ended by itself")
        return {"processes": float(len(self._processes))}


LOADS = {load.name: load for load in (Python, Control, Restarts, Outside)}
