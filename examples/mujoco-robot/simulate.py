"""The closed loop in simulated time: robot and control law in one thread, without dora and without a clock.

    python simulate.py              # the table of the README: which delays it stands

A late controller is modelled as what a node that sleeps in its handler is: it takes the newest state, holds its answer
for the delay, gives it, and only then looks again.
"""

import sys

import numpy as np

from design import Law, gains, standing_pose
from humanoid import STEP, Humanoid, load_model


def simulate(model, pose, law, seconds, delay_ms=0.0, seed=1):
    """Runs for `seconds` with a controller that is `delay_ms` late, or until it has fallen. `law=None`: motors off."""
    robot = Humanoid(model, pose, law.torques if law else np.zeros(model.nu), seed)
    answer, late = None, round(delay_ms / 1000.0 / STEP)
    for step in range(round(seconds / STEP)):
        if law is not None:
            answer = answer or (step + late, law(robot.data))
            if answer[0] <= step:
                robot.command(answer[1])
                answer = None
        if robot.step():
            break
    return robot


def main():
    model = load_model()
    pose, torques = standing_pose(model)
    law = Law(model, pose, torques, gains(model, pose, torques))
    print(f"motors off: {simulate(model, pose, None, 20.0).verdict()}")
    stiff = Law(model, pose, torques, np.zeros((model.nu, 2 * model.nv)))
    print(f"torques held, never changed, no pushes: {simulate(model, pose, stiff, 20.0, seed=None).verdict()}")
    for delay in (0, 10, 20, 25, 30, 35, 40, 50, 60, 80, 100):
        for seed in (1, 2, 3):
            print(f"{delay} ms late, pushes {seed}: {simulate(model, pose, law, 60.0, delay, seed).verdict()}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
