"""What the physics node writes down about each step, and what it makes of it.

Everything is written into arrays that were there from the start, and leaves in blocks.
"""

import numpy as np

BLOCK = 50
"""Steps in one message: ten messages per second."""
STEP_NUMBER, HEIGHT, LEAN, PUSH, AGE, PERIOD, ONE_WAY, ROUND_TRIP, FELL = range(9)
"""Columns of a row: number, m, rad, N, steps, ms, ms, ms, 1 once it has fallen. The joints follow, in rad. Not measured: NaN."""
JOINTS = 9
NS_PER_MS = 1e6


class Trace:
    """The last steps as rows of numbers."""

    def __init__(self, joints):
        self._rows = np.zeros((BLOCK, JOINTS + joints))
        self._count = 0

    def step(self, robot, statistics):
        row = self._rows[self._count]
        row[STEP_NUMBER], row[HEIGHT], row[LEAN], row[PUSH] = robot.steps, robot.height, robot.lean, robot.push
        row[AGE], row[PERIOD] = statistics.age, statistics.period_ms
        row[ONE_WAY], row[ROUND_TRIP] = statistics.one_way_ms, statistics.round_trip_ms
        row[FELL] = robot.fell_after is not None
        row[JOINTS:] = robot.data.qpos[7:]
        self._count += 1

    def full(self):
        return self._count == len(self._rows)

    def take(self):
        """All rows, one after the other. The next step starts a new block."""
        self._count = 0
        return self._rows.ravel()


class Statistics:
    """How punctual timer and controller are, for this step and over the whole run."""

    def __init__(self):
        self.age = 0
        """Steps between the state that the torques answer, and this one: 0 is punctual."""
        self.period_ms = self.one_way_ms = self.round_trip_ms = np.nan
        self.late = 0
        self.oldest = 0
        self._first_ns = self._last_ns = None
        self._sent_ns = np.zeros(1 << 12, dtype=np.int64)
        # The last two minutes.
        self._round_trips = np.zeros(1 << 16)
        self._answers = 0
        self._unanswered = True

    def step(self, now_ns, age):
        """A step begins, with torques that are `age` steps old."""
        if self._first_ns is None:
            self._first_ns = now_ns
        else:
            self.period_ms = (now_ns - self._last_ns) / NS_PER_MS
        self._last_ns, self.age = now_ns, age
        self.late += age > 0
        self.oldest = max(self.oldest, age)
        if self._unanswered:
            self.one_way_ms = self.round_trip_ms = np.nan
        self._unanswered = True

    def sent(self, step, now_ns):
        """The state of `step` is sent."""
        self._sent_ns[step % len(self._sent_ns)] = now_ns

    def answer(self, step, now_ns, one_way_ns):
        """The controller's answer to the state of `step` is there; that state took `one_way_ns` to reach it."""
        self.one_way_ms = one_way_ns / NS_PER_MS
        self.round_trip_ms = (now_ns - int(self._sent_ns[step % len(self._sent_ns)])) / NS_PER_MS
        self._round_trips[self._answers % len(self._round_trips)] = self.round_trip_ms
        self._answers += 1
        self._unanswered = False

    def verdict(self, steps, step_s):
        """One line: rate, steps behind the clock on the wall, late answers, latency."""
        if steps < 2:
            return "no time passed"
        seconds = (self._last_ns - self._first_ns) / 1e9
        skipped = max(0, round(seconds / step_s) + 1 - steps)
        taken = self._round_trips[: self._answers]
        p50, p99 = np.percentile(taken, [50, 99]) if len(taken) else (np.nan, np.nan)
        return (
            f"{steps} steps in {seconds:.2f} s, {skipped} ticks skipped; torques late in {self.late} steps, "
            f"by {self.oldest} at most; state to torques p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        )
