"""`dora start --hot-reload`: a coordinator, a daemon, and an operator whose file is written anew while it runs."""

import os
import re
import socket
import subprocess
import time

import pytest

from conftest import HUNG

YAML = """
nodes:
  - id: rt
    operators:
      - {id: counter, python: counter.py, inputs: {tick: dora/timer/millis/10}, outputs: [count]}
      - {id: other, python: other.py, inputs: {count: rt/counter/count}}
"""

COUNTER = """
import pyarrow as pa

WORDS = "{words}"

class Operator:
    def __init__(self):
        self.count = 0

    def on_event(self, event, send_output):
        if event["type"] == "INPUT":
            self.count += 1
            send_output("count", pa.array([self.count]), {{"words": WORDS}})
"""

OTHER = """
class Operator:
    def __init__(self):
        print("other is made", flush=True)
        self.last = 0

    def on_event(self, event, send_output):
        if event["type"] == "INPUT":
            number = event["value"][0].as_py()
            if number != self.last + 1:
                print("gap:", number, "after", self.last, flush=True)
            self.last = number
            print(event["metadata"]["words"], number, flush=True)
"""


class Services:
    """Coordinator and daemon of a home folder and a port of their own."""

    def __init__(self, dora_bin, clean_env, folder):
        self.dora_bin = dora_bin
        self.folder = folder
        # Nobody has it now.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.env = {**clean_env, "HOME": str(folder / "home"), "XDG_RUNTIME_DIR": str(folder / "run")}
        self.env["DORA_COORDINATOR_PORT"] = str(port)
        if "PYTHONPATH" in os.environ:
            self.env["PYTHONPATH"] = os.environ["PYTHONPATH"]
        for name in ("home", "run"):
            (folder / name).mkdir(mode=0o700)

    def dora(self, *args):
        """Runs `dora <args>` to its end."""
        command = [self.dora_bin, *map(str, args)]
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=HUNG, stdin=subprocess.DEVNULL
        )


@pytest.fixture
def services(dora_bin, clean_env, tmp_path):
    made = Services(dora_bin, clean_env, tmp_path)
    up = made.dora("up")
    assert up.returncode == 0, up
    yield made
    made.dora("down", "--force")


class Watched:
    """A `dora start --hot-reload` that runs; what it says goes to a file."""

    def __init__(self, services):
        self.file = services.folder / "said.txt"
        command = [services.dora_bin, "start", "flow.yml", "--hot-reload", "--name", "it"]
        with self.file.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=services.folder, env=services.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )

    def said(self):
        return self.file.read_text(encoding="utf-8", errors="replace")

    def numbers(self, words):
        """What the counter has sent along with these words."""
        return [int(number) for number in re.findall(rf"{words} (\d+)$", self.said(), re.MULTILINE)]

    def wait(self, what, done):
        """Until `done()`; gives what that gave."""
        end = time.monotonic() + HUNG
        while not (found := done()):
            assert self.process.poll() is None, f"it ended while {what} was waited for: {self.said()}"
            assert time.monotonic() < end, f"{what} did not come: {self.said()}"
            time.sleep(0.05)
        return found


@pytest.fixture
def watched(services, tmp_path):
    (tmp_path / "flow.yml").write_text(YAML, encoding="utf-8")
    (tmp_path / "counter.py").write_text(COUNTER.format(words="first code"), encoding="utf-8")
    (tmp_path / "other.py").write_text(OTHER, encoding="utf-8")
    made = Watched(services)
    yield made
    made.process.kill()
    made.process.wait()


def replace(file, text):
    """As many editors do it: a new file that is renamed over the old one."""
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)


def test_hot_reload_takes_new_code_while_the_operator_goes_on_counting(watched, services, tmp_path):
    watched.wait("the first number", lambda: watched.numbers("first code"))
    (tmp_path / "counter.py").write_text(COUNTER.format(words="second code"), encoding="utf-8")
    watched.wait("new code", lambda: watched.numbers("second code"))
    watched.wait("a word about it", lambda: "reloaded `rt/counter`" in watched.said())

    # What cannot be loaded changes nothing, and says so.
    replace(tmp_path / "counter.py", "class Operator(:\n")
    watched.wait("the warning", lambda: "operator `counter` was not reloaded" in watched.said())
    so_far = watched.numbers("second code")[-1]
    watched.wait("more of the old code", lambda: watched.numbers("second code")[-1] > so_far)

    replace(tmp_path / "counter.py", COUNTER.format(words="third code"))
    watched.wait("newer code", lambda: watched.numbers("third code"))

    stopped = services.dora("stop", "it")
    assert stopped.returncode == 0, (stopped, watched.said())
    assert watched.process.wait(HUNG) == 0, watched.said()

    said = watched.said()
    assert "gap" not in said, f"the count goes on over every reload: {said}"
    first, second, third = (watched.numbers(f"{nth} code") for nth in ("first", "second", "third"))
    assert first[-1] < second[0] and second[-1] < third[0], "each code ended with a reload"
    assert said.count("other is made") == 1, f"the other operator and the process were left alone: {said}"
    assert "reloaded `rt/other`" not in said, said


def test_hot_reload_ends_with_an_operator_whose_new_code_keeps_failing(watched, tmp_path):
    watched.wait("the first number", lambda: watched.numbers("first code"))
    failing = "class Operator:\n    def on_event(self, event, send_output):\n        raise ValueError('new words')\n"
    replace(tmp_path / "counter.py", failing)
    assert watched.process.wait(HUNG) == 1, watched.said()
    said = watched.said()
    assert "operator `counter` failed after it was reloaded" in said, "the first time is a warning: " + said
    assert "operator `counter` failed" in said and "ValueError: new words" in said, said
