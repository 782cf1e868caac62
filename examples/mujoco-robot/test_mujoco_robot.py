"""The humanoid stands while its controller is punctual, survives its pushes, and falls when the controller is late or off.

First in simulated time, without dora; then the dataflow as a user runs it. How long it stood is counted on the robot's
own clock, so a machine that is too busy for 500 Hz makes the run slower, and is no reason to fail.

    pytest examples/mujoco-robot          # from the checkout, in the environment of README.md

`DORA` names the `dora` to use, otherwise the one on the path; `MUJOCO_ROBOT_BIN` a folder that has `humanoid-controller`,
otherwise it is built.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SECONDS = 12
"""Of one run: four pushes."""
NEEDED = ("mujoco", "dm_control", "scipy", "numpy")
NEEDED_BY_NODES = (*NEEDED, "dora", "pyarrow", "cv2", "skimage", "matplotlib")


def missing(modules):
    """What is not installed, without importing it."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


if missing(NEEDED):
    pytest.skip(f"skipped: needs {', '.join(missing(NEEDED))}: {HERE / 'requirements.txt'}", allow_module_level=True)

sys.path.insert(0, str(HERE))

import mujoco
import numpy as np

import design
from humanoid import FALLEN, STEP, Humanoid, load_model
from simulate import simulate


@pytest.fixture(scope="module")
def robot():
    """`(model, pose, law)`"""
    model = load_model()
    pose, torques = design.standing_pose(model)
    return model, pose, design.Law(model, pose, torques, design.gains(model, pose, torques))


# In simulated time.


def test_humanoid_would_stay_where_it_is_put_if_nothing_ever_disturbed_it(robot):
    model, pose, law = robot
    data = mujoco.MjData(model)
    data.qpos[:], data.ctrl[:] = pose, law.torques
    mujoco.mj_forward(model, data)
    assert np.abs(data.qacc).max() < 0.05
    assert np.abs(law.torques).max() < 0.5, "it takes half of the torque just to stand"


def test_loop_is_stable_and_the_robot_alone_is_not(robot):
    model, pose, law = robot
    a, b = design.linear_model(model, pose, law.torques)
    kept = [i for i in range(2 * model.nv) if i not in (0, 1, 5)]
    alone = np.abs(np.linalg.eigvals(a[np.ix_(kept, kept)])).max()
    closed = np.abs(np.linalg.eigvals((a - b @ law.k)[np.ix_(kept, kept)])).max()
    assert alone > 1.02
    assert closed < 1.0


@pytest.mark.parametrize("delay_ms", [0, 10, 20])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_punctual_controller_survives_every_push(robot, delay_ms, seed):
    model, pose, law = robot
    end = simulate(model, pose, law, 30, delay_ms, seed)
    assert end.fell_after is None, end.verdict()
    assert end.pushes == 10
    assert np.degrees(end.largest_lean) > 3, "these were pushes"


@pytest.mark.parametrize("delay_ms", [40, 50, 80])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_late_controller_lets_it_fall_after_the_first_push(robot, delay_ms, seed):
    model, pose, law = robot
    end = simulate(model, pose, law, 10, delay_ms, seed)
    assert end.fell_after is not None and end.fell_after < 4.5, end.verdict()


def test_humanoid_falls_without_control(robot):
    model, pose, law = robot
    limp = simulate(model, pose, None, 10)
    assert limp.fell_after is not None and limp.fell_after < 1.0, limp.verdict()
    stiff = design.Law(model, pose, law.torques, np.zeros_like(law.k))
    held = simulate(model, pose, stiff, 10, seed=None)
    assert held.fell_after is not None, f"the torques of the pose alone do not hold it: {held.verdict()}"


def test_robot_that_fell_stays_down_with_its_drives_off(robot):
    model, pose, _law = robot
    body = Humanoid(model, pose, np.zeros(model.nu), seed=None)
    fell = [body.step() for _ in range(1500)]
    assert sum(fell) == 1
    after = body.fell_after
    body.command(np.ones(model.nu))
    assert not body.step()
    assert (body.data.ctrl == 0).all()
    assert body.fell_after == after and body.height < FALLEN * pose[2]


# As a user runs it.


class Run:
    """What `dora run` of the example left behind."""

    def __init__(self, folder, variables):
        lacking = missing(NEEDED_BY_NODES)
        dora = os.environ.get("DORA") or shutil.which("dora")
        if not dora:
            lacking.append("the command dora")
        if lacking:
            pytest.skip(f"skipped: needs {', '.join(lacking)}: see {HERE / 'README.md'}")
        self.picture = folder / "robot.png"
        command = [dora, "run", "--rt=best-effort", str(descriptor(folder)), "--stop-after", f"{SECONDS}s"]
        for name, value in {**variables, "ROBOT_PICTURE": str(self.picture)}.items():
            command += ["--env", f"{name}={value}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        self.text = done.stdout + done.stderr
        assert done.returncode == 0, self.text

    def verdict(self):
        """`(fell, seconds, pushes)`"""
        found = re.search(r"the humanoid (stood for|FELL after) ([\d.]+) s; (\d+) pushes", self.text)
        assert found, self.text
        return found[1] != "stood for", float(found[2]), int(found[3])

    def largest_lean(self):
        """In degrees."""
        return float(re.search(r"largest lean ([\d.]+) degrees", self.text)[1])

    def seconds_of_robot(self):
        """Simulated seconds: as many as the machine had time for."""
        return self._steps()[0] * STEP

    def late(self):
        """Steps that were taken with old torques."""
        return self._steps()[1]

    def _steps(self):
        found = re.search(r"(\d+) steps in [\d.]+ s, \d+ ticks skipped; torques late in (\d+) steps", self.text)
        assert found, self.text
        return int(found[1]), int(found[2])


def descriptor(folder):
    """A copy with absolute paths, so that nothing is written beside the example."""
    binaries = os.environ.get("MUJOCO_ROBOT_BIN") or built()
    text = (HERE / "dataflow.yml").read_text().replace("../../target/release", str(binaries))
    text = re.sub(r"path: (\w+\.py)", lambda found: f"path: {HERE / found[1]}", text)
    copy = folder / "dataflow.yml"
    copy.write_text(text)
    return copy


def built():
    """The folder of the controller, built if need be."""
    if not shutil.which("cargo"):
        pytest.skip("skipped: needs cargo, or MUJOCO_ROBOT_BIN with the folder of humanoid-controller")
    subprocess.run(["cargo", "build", "--release", "-p", "mujoco-robot"], cwd=HERE, check=True)
    target = os.environ.get("CARGO_TARGET_DIR") or HERE.parents[1] / "target"
    return Path(target).resolve() / "release"


def test_humanoid_stands_over_dora_and_the_picture_shows_it(tmp_path, robot):
    run = Run(tmp_path, {})
    fell, seconds, pushes = run.verdict()
    assert not fell, run.text
    simulated = run.seconds_of_robot()
    assert abs(seconds - simulated) < 0.01, run.text
    # A machine that manages a fifth of real time only still shows one push.
    assert simulated > SECONDS / 5, f"too loaded to say anything: {run.text}"
    assert pushes >= 1, run.text
    if run.late() == 0:
        # Then the controller in Rust and the law in Python have done the same.
        expected = np.degrees(simulate(*robot, simulated).largest_lean)
        assert abs(run.largest_lean() - expected) < 1.0, f"{expected}: {run.text}"
    found = re.search(r"face found in (\d+) of (\d+), (\d+) faces where there are none", run.text)
    assert found and found[1] == found[2] and int(found[1]) > 0 and found[3] == "0", run.text
    assert run.picture.read_bytes().startswith(b"\x89PNG"), run.text
    assert run.picture.stat().st_size > 50_000


@pytest.mark.parametrize("variable", [{"CONTROLLER_OFF": "1"}, {"CONTROLLER_DELAY_MS": "50"}])
def test_humanoid_falls_over_dora_when_its_controller_is_off_or_late(tmp_path, variable):
    run = Run(tmp_path, variable)
    fell, seconds, _ = run.verdict()
    assert fell and seconds < 6, run.text
    assert run.picture.exists(), run.text
