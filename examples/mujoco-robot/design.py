"""The control law: where the humanoid shall stand, and the gains that keep it there.

1. `standing_pose`: knees a little bent, feet flat, centre of mass above the middle of the feet, and so deep in the (soft)
   floor that the floor carries just the weight. Inverse dynamics says which torques hold the joints there.
2. `gains`: MuJoCo differentiates its own step around that pose, contacts and all: `x' = A x + B u`. The linear-quadratic
   regulator of that model is the law `u = u0 - K x`, where `x` is the deviation of all positions and velocities.
3. `message`: both, as the flat row of numbers that the controller is sent.

The model has an eigenvalue of 1.023 per step of 2 ms: left alone, a lean doubles in 60 ms.
"""

import mujoco
import numpy as np
from scipy.linalg import solve_discrete_are
from scipy.optimize import least_squares

KNEE = -0.3
"""How the knees are bent, in radians. A straight leg could only give way to one side."""
ARMS = {"shoulder1": 0.0, "shoulder2": 0.0, "elbow": -0.3}
BALANCE_WEIGHT = 1000.0
"""For the distance of the centre of mass from the middle of the feet, per m²."""
JOINT_WEIGHTS = {"abdomen": 10.0, "hip": 3.0, "knee": 3.0, "ankle": 3.0, "shoulder": 1.0, "elbow": 1.0}
"""For deviations of the joints, per rad²."""
TORQUE_WEIGHT = 10.0
"""For torques in parts of the full one. A larger weight stands longer delays, and takes longer to get over a push."""


def dof_of(model, name):
    """Degrees of freedom of the joints whose name contains `name`."""
    return [model.jnt_dofadr[j] for j in range(model.njnt) if name in model.joint(j).name]


def standing_pose(model):
    """`(qpos, torques)` at which the humanoid stands still, if nothing disturbs it."""
    data = mujoco.MjData(model)
    torso, foot = model.body("torso").id, model.body("left_foot").id
    soles = [g for g in range(model.ngeom) if "foot" in model.geom(g).name]

    def pose(height, pitch, hip, ankle):
        qpos = model.qpos0.copy()
        qpos[2] = height
        qpos[3:7] = np.cos(pitch / 2), 0.0, np.sin(pitch / 2), 0.0
        for name, angle in {"hip_y": hip, "knee": KNEE, "ankle_y": ankle, **ARMS}.items():
            for dof in dof_of(model, name):
                qpos[dof + 1] = angle  # a free joint comes first: 7 positions for 6 degrees of freedom
        return qpos

    def place(qpos):
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)

    def crooked(angles):
        place(pose(1.2, *angles))
        middle = np.mean([data.geom_xpos[g][0] for g in soles])
        return data.subtree_com[torso][0] - middle, data.xmat[foot].reshape(3, 3)[2, 0], angles[0]

    def held(qpos):
        """Generalised forces that it takes to stay there. The first six have no motor and should be zero."""
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        data.qacc[:] = 0.0
        mujoco.mj_inverse(model, data)
        return data.qfrc_inverse.copy()

    pitch, hip, ankle = least_squares(crooked, [0.0, KNEE / 2, KNEE / 2]).x
    place(pose(1.2, pitch, hip, ankle))
    height = 1.2 - min(data.geom_xpos[g][2] - model.geom_size[g][0] for g in soles)

    def unbalanced(change):
        force = held(pose(height + change[0], pitch + change[1], hip, ankle))
        return force[2] / 100.0, force[4] / 10.0

    change = least_squares(unbalanced, [-0.002, 0.0], diff_step=1e-6, x_scale=[1e-3, 1e-3])
    if np.abs(change.fun).max() > 1e-3:
        raise SystemExit(f"this humanoid cannot be balanced: {change.fun} is left at the root")
    qpos = pose(height + change.x[0], pitch + change.x[1], hip, ankle)
    force = held(qpos)
    motors = [model.jnt_dofadr[joint] for joint in model.actuator_trnid[:, 0]]
    return qpos, force[motors] / model.actuator_gear[:, 0]


def linear_model(model, qpos, torques):
    """`A` and `B` of one step: deviation of positions and velocities after it, from those before it and the torques."""
    data = mujoco.MjData(model)
    data.qpos[:], data.ctrl[:] = qpos, torques
    mujoco.mj_forward(model, data)
    a, b = np.zeros((2 * model.nv, 2 * model.nv)), np.zeros((2 * model.nv, model.nu))
    mujoco.mjd_transitionFD(model, data, 1e-6, True, a, b, None, None)
    return a, b


def gains(model, qpos, torques):
    """`K`, one row per motor: how it answers deviations of all positions and velocities."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    centre, feet, jacobian = np.zeros((3, model.nv)), np.zeros((3, model.nv)), np.zeros((3, model.nv))
    mujoco.mj_jacSubtreeCom(model, data, centre, model.body("torso").id)
    for foot in ("left_foot", "right_foot"):
        mujoco.mj_jacBodyCom(model, data, jacobian, None, model.body(foot).id)
        feet += jacobian / 2
    balance = centre - feet
    weights = np.zeros((2 * model.nv, 2 * model.nv))
    weights[: model.nv, : model.nv] = BALANCE_WEIGHT * balance.T @ balance
    for name, weight in JOINT_WEIGHTS.items():
        for dof in dof_of(model, name):
            weights[dof, dof] += weight
    # Where it stands and which way it looks changes nothing, so these three are no part of the problem.
    kept = np.array([i for i in range(2 * model.nv) if i not in (0, 1, 5)])
    a, b = linear_model(model, qpos, torques)
    a, b, q = a[np.ix_(kept, kept)], b[kept], weights[np.ix_(kept, kept)]
    r = TORQUE_WEIGHT * np.eye(model.nu)
    p = solve_discrete_are(a, b, q, r)
    result = np.zeros((model.nu, 2 * model.nv))
    result[:, kept] = np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a)
    return result


def message(model, qpos, torques, k):
    """What the controller needs to know, in its order: sizes, pose, torques there, their limits, gains row by row."""
    limits = model.actuator_ctrlrange
    parts = ([model.nv, model.nu], qpos, torques, limits[:, 0], limits[:, 1], k.ravel())
    return np.concatenate(parts).astype(np.float64)


class Law:
    """The controller's arithmetic in Python, for the loop in simulated time. The one that runs is in `src/law.rs`."""

    def __init__(self, model, qpos, torques, k):
        self.model, self.qpos, self.torques, self.k = model, qpos, torques, k
        self._deviation = np.zeros(2 * model.nv)

    def __call__(self, data):
        nv = self.model.nv
        mujoco.mj_differentiatePos(self.model, self._deviation[:nv], 1.0, self.qpos, data.qpos)
        self._deviation[nv:] = data.qvel
        low, high = self.model.actuator_ctrlrange.T
        return np.clip(self.torques - self.k @ self._deviation, low, high)
