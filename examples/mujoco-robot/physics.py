"""The robot: one step of MuJoCo per tick of a 500 Hz timer, with whatever torques came last.

Nothing here waits for the controller. Every tick is one step of 2 ms, with the torques that are there, however old.
A tick that came while this process was not allowed to run is not made up for: then the robot's clock falls behind the
clock on the wall, and the last line says by how much. How long the robot stood is counted on its own clock.

    gain    once     the control law, computed here from the model (design.py)
    state   500 Hz   number of the step, positions, velocities: 1 + 28 + 27 numbers
    pose     10 Hz   where the bodies are: step, then x, y, z each
    trace    10 Hz   what happened in the last 50 steps (record.py)
"""

import gc
import time

import numpy as np
import pyarrow as pa
from dora import Node

from design import gains, message, standing_pose
from humanoid import STEP, Humanoid, load_model
from record import Statistics, Trace

WARM_UP = 500
"""Steps that a spare robot takes before the start, to have everything loaded and touched."""


class Physics:
    """The robot behind its inputs and outputs."""

    def __init__(self):
        model = load_model()
        pose, torques = standing_pose(model)
        self.gain = message(model, pose, torques, gains(model, pose, torques))
        spare = Humanoid(model, pose, torques)
        for _ in range(WARM_UP):
            spare.step()
        self.robot = Humanoid(model, pose, torques)
        self.state = np.zeros(1 + model.nq + model.nv)
        self.places = np.zeros((model.nbody, 3))
        self.trace = Trace(model.nu)
        self.statistics = Statistics()
        self.answered = 0
        """The step whose state the newest torques answer."""
        # What exists now stays: the collector need not look at it again, least of all in the middle of a step.
        gc.collect()
        gc.freeze()
        self.node = Node()

    def run(self):
        self.node.send_output("gain", pa.array(self.gain))
        self.send_state()
        while (event := self.node.next()) is not None:
            if event["type"] == "INPUT":
                if event["id"] == "tick":
                    self.tick()
                elif event["id"] == "torque":
                    self.take(event["value"].to_numpy())
            elif event["type"] == "STOP":
                break
        self.report()

    def tick(self):
        robot = self.robot
        self.statistics.step(time.monotonic_ns(), robot.steps - self.answered)
        self.trace.step(robot, self.statistics)
        if robot.step():
            print(f"down in step {robot.steps}, torso at {robot.height:.2f} m; drives off", flush=True)
        self.send_state()
        if self.trace.full():
            self.places[:] = robot.data.xpos
            self.places[0] = robot.steps  # the world's own place says nothing
            self.node.send_output("pose", pa.array(self.places.ravel()))
            self.node.send_output("trace", pa.array(self.trace.take()))

    def send_state(self):
        robot, state = self.robot, self.state
        positions = robot.model.nq
        state[0] = robot.steps
        state[1 : 1 + positions] = robot.data.qpos
        state[1 + positions :] = robot.data.qvel
        self.statistics.sent(robot.steps, time.monotonic_ns())
        self.node.send_output("state", pa.array(state))

    def take(self, torque):
        """Step that it answers, nanoseconds of the state on its way, torques."""
        if len(torque) != 2 + self.robot.model.nu:
            raise ValueError(
                f"`torque` has {len(torque)} numbers; this robot takes 2 and {self.robot.model.nu} torques"
            )
        self.robot.command(torque[2:])
        if torque[0] < 0:
            return  # the controller's watchdog
        self.answered = int(torque[0])
        self.statistics.answer(self.answered, time.monotonic_ns(), torque[1])

    def report(self):
        print(self.robot.verdict())
        print(self.statistics.verdict(self.robot.steps, STEP), flush=True)


if __name__ == "__main__":
    Physics().run()
