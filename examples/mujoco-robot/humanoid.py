"""The humanoid of dm_control in the physics engine MuJoCo: 27 degrees of freedom, 21 motors, 41 kg on two feet.

Nothing in here knows about dora or about a clock: `Humanoid.step` lets 2 ms pass in the simulated world, whatever the
time outside. Pushes against the torso come from a seeded generator: the same seed gives the same pushes. Who lies on the floor is not pushed any more.

A robot that has fallen stays down: its drives switch themselves off, as real ones would.
"""

import importlib.util
import math
from pathlib import Path

import mujoco
import numpy as np

STEP = 0.002
"""One step of the physics and of the control loop, in seconds: 500 Hz."""
FALLEN = 0.7
"""A torso below this part of its standing height has fallen."""
PUSH_EVERY = 3.0
"""Seconds from one push to the next; the first comes after half of that."""
PUSH_TIME = 0.1
"""A push lasts that long, in seconds."""
PUSH_FORCE = (40.0, 60.0)
"""Weakest and strongest push, in newtons, horizontally against the torso from any side."""


def load_model():
    """The humanoid that ships with dm_control, with our step. dm_control itself is not imported: it would look for a GPU."""
    package = importlib.util.find_spec("dm_control")
    if package is None:
        raise SystemExit("needs the package dm_control, for its humanoid: pip install -r requirements.txt")
    xml = Path(package.submodule_search_locations[0]) / "suite" / "humanoid.xml"
    model = mujoco.MjModel.from_xml_path(str(xml))
    model.opt.timestep = STEP
    return model


class Humanoid:
    """The robot in its world, and how it has done so far."""

    def __init__(self, model, pose, torques, seed=1):
        """Starts at rest in `pose` (a full `qpos`) with `torques` in the motors. `seed=None`: nobody pushes."""
        self.model = model
        self.data = mujoco.MjData(model)
        self.data.qpos[:] = pose
        mujoco.mj_forward(model, self.data)
        self.steps = 0
        self.fell_after = None
        """Simulated seconds until it fell, or None."""
        self.largest_lean = 0.0
        """Of the torso from upright, in radians, until it fell."""
        self.pushes = 0
        self.push = 0.0
        """Force of the push that acts now, in newtons."""
        self._random = None if seed is None else np.random.default_rng(seed)
        self._torso = model.body("torso").id
        self._down = FALLEN * pose[2]
        self._force = self.data.xfrc_applied[self._torso]
        self._wanted = np.array(torques, dtype=float)

    @property
    def time(self):
        """Simulated seconds."""
        return self.steps * STEP

    @property
    def stood(self):
        """Simulated seconds until it fell, or until now."""
        return self.time if self.fell_after is None else self.fell_after

    @property
    def height(self):
        """Of the torso, in metres."""
        return self.data.qpos[2]

    @property
    def lean(self):
        """Of the torso from upright, in radians: its own vertical axis against the world's."""
        return math.acos(max(-1.0, min(1.0, self.data.xmat[self._torso][8])))

    def command(self, torques):
        """Sets the motors, in parts of their full torque (-1 to 1), for all steps until the next call."""
        self._wanted[:] = torques

    def step(self):
        """Lets 2 ms pass. True if this was the step in which it fell."""
        data = self.data
        data.ctrl[:] = 0.0 if self.fell_after is not None else self._wanted
        self._push()
        mujoco.mj_step(self.model, data)
        self.steps += 1
        if self.fell_after is not None:
            return False
        self.largest_lean = max(self.largest_lean, self.lean)
        if data.qpos[2] >= self._down:
            return False
        self.fell_after = self.time
        return True

    def _push(self):
        if self._random is None or self.fell_after is not None:
            self.push = 0.0
            self._force[:2] = 0.0
            return
        every, lasts = round(PUSH_EVERY / STEP), round(PUSH_TIME / STEP)
        phase = (self.steps - every // 2) % every
        if phase == 0 and self.steps >= every // 2:
            angle, self.push = self._random.uniform(0.0, 2.0 * np.pi), self._random.uniform(*PUSH_FORCE)
            self._force[:2] = self.push * np.cos(angle), self.push * np.sin(angle)
            self.pushes += 1
        elif phase == lasts:
            self.push = 0.0
            self._force[:2] = 0.0

    def verdict(self):
        """One line: how long it stood."""
        end = f"stood for {self.time:.2f} s" if self.fell_after is None else f"FELL after {self.fell_after:.2f} s"
        return f"the humanoid {end}; {self.pushes} pushes, largest lean {np.degrees(self.largest_lean):.1f} degrees"
