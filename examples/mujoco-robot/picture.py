"""One run as a picture: the robot at three moments, height, joints, latency, and what was late."""

import mujoco
import numpy as np
from matplotlib import pyplot as plt

from detect import photograph
from humanoid import FALLEN, STEP, load_model
from record import (
    AGE,
    FELL,
    HEIGHT,
    JOINTS,
    LEAN,
    ONE_WAY,
    PERIOD,
    PUSH,
    ROUND_TRIP,
    STEP_NUMBER,
)

KEPT = 1200
"""Blocks, poses and finds that are kept: two minutes. Of a longer run the picture shows the end."""
SHOWN_JOINTS = ("abdomen_y", "right_hip_y", "right_knee", "right_ankle_y", "left_hip_y", "left_knee", "left_ankle_y")
BESIDE = {"loc": "center left", "bbox_to_anchor": (1.03, 0.5), "fontsize": 8}
"""Where a legend hides nothing."""


class Run:
    """What was heard of a run."""

    def __init__(self):
        self.model = load_model()
        self._blocks, self._poses, self.finds = [], [], []

    def add_trace(self, values):
        """A block of rows from the physics node."""
        self._keep(self._blocks, np.array(values).reshape(-1, JOINTS + self.model.nu))

    def add_pose(self, values):
        """Where the bodies are; the first row is the number of the step."""
        self._keep(self._poses, np.array(values).reshape(-1, 3))

    def add_faces(self, values, about):
        """What the vision node found in a photograph."""
        found = {name: about[name] for name in ("photo", "scale", "width", "height", "ms")}
        self._keep(self.finds, {**found, "faces": np.array(values).reshape(-1, 4)})

    @staticmethod
    def _keep(kept, new):
        kept.append(new)
        del kept[:-KEPT]

    def is_empty(self):
        return not self._blocks

    def rows(self):
        """All steps, oldest first."""
        return np.concatenate(self._blocks)

    def poses(self):
        """`(seconds, places)`, oldest first."""
        return [(pose[0][0] * STEP, pose) for pose in self._poses]


def draw(run, path):
    """Writes the picture of `run` to `path`."""
    rows = run.rows()
    time = rows[:, STEP_NUMBER] * STEP
    plt.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True})
    figure = plt.figure(figsize=(15, 11))
    figure.suptitle(headline(rows), fontsize=14)
    # Places by hand: the automatic layouts take as long as all the drawing, and dora waits ten seconds for a node to end.
    top = figure.add_gridspec(1, 4, left=0.01, right=0.98, top=0.93, bottom=0.68, wspace=0.05)
    middle = figure.add_gridspec(2, 1, left=0.04, right=0.85, top=0.64, bottom=0.26, hspace=0.3)
    bottom = figure.add_gridspec(1, 3, left=0.04, right=0.98, top=0.19, bottom=0.045, wspace=0.18)
    draw_robot(figure, top, run, rows)
    draw_find(figure.add_subplot(top[3]), run)
    draw_height(figure.add_subplot(middle[0]), time, rows)
    draw_joints(figure.add_subplot(middle[1]), time, rows, run.model)
    draw_latency(figure.add_subplot(bottom[0]), rows)
    draw_periods(figure.add_subplot(bottom[1]), rows)
    draw_late(figure.add_subplot(bottom[2]), time, rows)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def headline(rows):
    fell = rows[:, FELL] > 0
    if fell.any():
        return f"the humanoid FELL after {rows[fell][0, STEP_NUMBER] * STEP:.2f} s"
    return f"the humanoid stood for all of the {(rows[-1, STEP_NUMBER] + 1) * STEP:.1f} s that were recorded"


def draw_robot(figure, grid, run, rows):
    """The skeleton at the start, when it leaned most while standing (or as it fell), and at the end."""
    poses = run.poses()
    if not poses:
        return
    standing = rows[rows[:, FELL] == 0]
    worst = standing[np.argmax(standing[:, LEAN]), STEP_NUMBER] * STEP if len(standing) else 0.0
    moments = (poses[0][0], worst, poses[-1][0])
    titles = ("first", "leaning most", "last")
    for panel, (moment, title) in enumerate(zip(moments, titles)):
        at, pose = min(poses, key=lambda pose: abs(pose[0] - moment))
        axes = figure.add_subplot(grid[panel], projection="3d")
        draw_skeleton(axes, run.model, pose)
        axes.set_title(f"{title}: {at:.1f} s")


def draw_skeleton(axes, model, pose):
    for body in range(2, model.nbody):
        line = np.array([pose[model.body_parentid[body]], pose[body]])
        name = model.body(body).name
        colour = "tab:red" if "right" in name else "tab:blue" if "left" in name else "black"
        axes.plot(*line.T, color=colour, linewidth=4, solid_capstyle="round")
    head = pose[mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "head")]
    axes.scatter(*head, s=220, color="black")
    middle = pose[1]
    axes.set_xlim(middle[0] - 0.8, middle[0] + 0.8)
    axes.set_ylim(middle[1] - 0.8, middle[1] + 0.8)
    axes.set_zlim(0.0, 1.6)
    axes.set_box_aspect((1, 1, 1), zoom=1.2)
    axes.view_init(elev=8, azim=-60)
    axes.tick_params(labelsize=7, pad=0)
    axes.set_xticklabels([])
    axes.set_yticklabels([])


def draw_find(axes, run):
    """The last photograph in which a face was found, as the detector saw it."""
    axes.grid(False)
    axes.set_axis_off()
    found = [find for find in run.finds if len(find["faces"])]
    if not found:
        axes.set_title(f"vision: {len(run.finds)} photographs, no face")
        return
    find = found[-1]
    axes.imshow(photograph(find["photo"]), cmap="gray", extent=(0, find["width"], find["height"], 0))
    for x, y, width, height in find["faces"]:
        axes.add_patch(plt.Rectangle((x, y), width, height, fill=False, color="lime", linewidth=2))
    mean = np.mean([find["ms"] for find in run.finds])
    axes.set_title(f"vision: {len(run.finds)} photographs, {mean:.0f} ms each")


def draw_height(axes, time, rows):
    axes.plot(time, rows[:, HEIGHT], color="black", label="height of the torso, m")
    limit = FALLEN * rows[0, HEIGHT]
    axes.axhline(limit, color="tab:red", linestyle=":", label=f"fallen below {limit:.2f} m")
    axes.set_ylim(0, 1.1 * max(1.0, rows[:, HEIGHT].max()))
    lean = axes.twinx()
    lean.grid(False)
    lean.plot(time, np.degrees(rows[:, LEAN]), color="tab:purple", label="lean of the torso, degrees")
    shade_pushes(lean, time, rows[:, PUSH])
    lean.set_ylim(0, max(15.0, np.degrees(rows[:, LEAN]).max() * 1.1))
    axes.set_title("height and lean")
    lines = [*axes.get_legend_handles_labels()[0], *lean.get_legend_handles_labels()[0]]
    axes.legend(lines, [line.get_label() for line in lines], **BESIDE)


def shade_pushes(axes, time, push):
    """A bar for each push, with its force."""
    pushed = np.flatnonzero(push > 0)
    for block in np.split(pushed, np.flatnonzero(np.diff(pushed) > 1) + 1):
        if len(block):
            label = "push" if block[0] == pushed[0] else None
            axes.axvspan(time[block[0]], time[block[-1]] + STEP, color="tab:orange", alpha=0.6, label=label)
            axes.annotate(
                f"{push[block[0]]:.0f} N", (time[block[-1]], 0.92), xycoords=("data", "axes fraction"), fontsize=8
            )


def draw_joints(axes, time, rows, model):
    for name in SHOWN_JOINTS:
        column = JOINTS + model.jnt_dofadr[model.joint(name).id] - 6
        axes.plot(time, rows[:, column], label=name, linewidth=1)
    axes.set_title("joint angles, rad")
    axes.set_xlabel("simulated time, s")
    axes.legend(**BESIDE)


def draw_latency(axes, rows):
    """From the state's send to its taking by the controller, and until its torques are here."""
    for column, label in ((ONE_WAY, "state to controller"), (ROUND_TRIP, "state to torques")):
        values = rows[:, column]
        values = values[np.isfinite(values) & (values > 0)]
        if len(values):
            p50, p99 = np.percentile(values, [50, 99])
            bins = np.geomspace(0.001, 100, 101)
            axes.hist(values, bins=bins, alpha=0.6, label=f"{label}: p50 {p50:.3f}, p99 {p99:.3f} ms")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title("latency, ms")
    axes.set_ylabel("steps")
    axes.legend(fontsize=8)


def draw_periods(axes, rows):
    """How punctual the timer was."""
    period = STEP * 1000
    values = rows[:, PERIOD]
    values = values[np.isfinite(values)].clip(0, 4 * period)
    axes.hist(values, bins=np.linspace(0, 4 * period, 81), color="tab:green")
    axes.axvline(period, color="black", linestyle=":")
    axes.set_yscale("log")
    axes.set_title(f"from step to step, ms: {period:.0f} asked")
    axes.set_ylabel("steps")


def ticks_skipped(period_ms):
    """How many ticks passed unseen before each step. A step that is late but not lost is made up for by the next."""
    due = np.cumsum(np.nan_to_num(period_ms)) / (STEP * 1000)
    behind = np.round(due) - np.arange(len(due))
    lost = np.minimum.accumulate(behind[::-1])[::-1].clip(0)
    return np.diff(lost, prepend=0.0)


def draw_late(axes, time, rows):
    """Deadline misses: torques that were not there in time, and ticks that the machine slept through."""
    age = rows[:, AGE]
    late = age > 0
    skipped = ticks_skipped(rows[:, PERIOD])
    lost = skipped > 0
    axes.scatter(time[late], age[late], s=12, color="tab:red", label=f"torques late: {late.sum()} steps")
    axes.scatter(time[lost], skipped[lost], s=30, marker="x", label=f"ticks skipped: {skipped.sum():.0f}")
    axes.set_ylim(0, max(5, age.max() * 1.1, skipped.max() * 1.1))
    axes.set_xlim(0, time[-1])
    axes.set_ylabel("by how many steps")
    axes.set_title(f"deadline misses in {len(rows)} steps")
    axes.set_xlabel("simulated time, s")
    axes.legend(fontsize=8)
