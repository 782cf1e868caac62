"""`Node("name")`: a program that no dataflow started joins a running one by the name of its place."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading

import pytest

PORT = 4712
JOIN = f"""
from dora import Node
try:
    Node("late", daemon_port={PORT})
except RuntimeError as error:
    print(error)
else:
    print("joined")
"""


@pytest.fixture
def place(tmp_path):
    """Where a daemon of this user listens."""
    folder = tmp_path / "dora"
    folder.mkdir(mode=0o700)
    return folder / f"daemon-{PORT}.sock"


def join(place, clean_env, program=JOIN):
    env = {**clean_env, "XDG_RUNTIME_DIR": str(place.parent.parent)}
    if "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def receive(connection):
    """The next frame as a dict."""
    length, _ = struct.unpack("<II", connection.recv(8, socket.MSG_WAITALL))
    return json.loads(connection.recv(length, socket.MSG_WAITALL))


def test_without_a_daemon_the_error_says_where_none_listens(place, clean_env):
    text = join(place, clean_env)
    for part in ("`late`", str(place), "path: dynamic"):
        assert part in text, text


def test_the_port_of_the_environment_counts(place, clean_env):
    set_port = "import os\nos.environ['DORA_DAEMON_LOCAL_LISTEN_PORT'] = '77'\n"
    program = set_port + JOIN.replace(f", daemon_port={PORT}", "")
    assert "daemon-77.sock" in join(place, clean_env, program)
    assert "1 to 65535" in join(place, clean_env, program.replace("'77'", "'seven'"))


def test_it_says_which_place_it_takes_and_a_refusal_comes_with_its_reason(place, clean_env):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place))
    listener.listen()
    heard = []

    def refuse():
        connection, _ = listener.accept()
        with connection:
            heard.extend([receive(connection), receive(connection)])
            body = json.dumps({"type": "refused", "reason": "the free places are `a` and `b`"}).encode()
            connection.sendall(struct.pack("<II", len(body), 0) + body)

    daemon = threading.Thread(target=refuse)
    daemon.start()
    text = join(place, clean_env)
    daemon.join(timeout=180)
    listener.close()
    assert "the free places are `a` and `b`" in text
    assert [word["type"] for word in heard] == ["attach", "hello"]
    assert heard[0]["node_id"] == "late"


FLOW = """
nodes:
  - id: source
    path: source.py
    inputs: {tick: dora/timer/millis/10}
    outputs: [out]
  - id: late
    path: dynamic
    inputs: {in: source/out}
    outputs: [back]
  - id: sink
    path: sink.py
    # The timer keeps it while nobody has the place.
    inputs: {in: late/back, tick: dora/timer/secs/1}
"""

SOURCE = """
from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        node.send_output("out", event["value"])
"""

SINK = """
from dora import Node

for event in Node():
    if event["type"] == "INPUT" and event["id"] == "in":
        print("got", event["value"][0].as_py(), flush=True)
"""

GUEST = """
import time
import pyarrow as pa
from dora import Node

def join():
    for _ in range(600):
        try:
            return Node("late")
        except RuntimeError as error:
            # The dataflow has not come so far, or has not noticed yet that the one before has left.
            if "no daemon listens" not in str(error) and "is taken" not in str(error):
                raise
            time.sleep(0.1)
    raise SystemExit("it never came in")

for turn in range(3):
    node = join()
    seen = 0
    while seen < 5:
        event = node.next(timeout=60)
        assert event["type"] == "INPUT", event
        node.send_output("back", pa.array([1000 * turn + seen]))
        seen += 1
    del node, event
print("joined three times")
"""


def test_a_program_joins_a_running_dataflow_leaves_and_joins_again(place, clean_env, dora_bin, tmp_path):
    for name, text in (("dataflow.yml", FLOW), ("source.py", SOURCE), ("sink.py", SINK)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    env = {
        **clean_env,
        "XDG_RUNTIME_DIR": str(place.parent.parent),
        "DORA_DAEMON_LOCAL_LISTEN_PORT": str(PORT),
    }
    if "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    dataflow = subprocess.Popen(
        [dora_bin, "run", "dataflow.yml"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        program = f"import os\nos.environ['DORA_DAEMON_LOCAL_LISTEN_PORT'] = '{PORT}'\n{GUEST}"
        assert "joined three times" in join(place, clean_env, program)
    finally:
        dataflow.terminate()
        text, _ = dataflow.communicate(timeout=180)
    for number in (0, 4, 1000, 1004, 2000, 2004):
        assert f"got {number}\n" in text, text
