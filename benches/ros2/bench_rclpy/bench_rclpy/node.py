"""One node of a pair at the work of benches/own, through rclpy. README.md beside this package says what its words mean.

`first` sends what is paced or streamed, and answers round trips. `second` takes, or makes the round trips, and writes its
samples. A stream is kept from overrunning the reader's queue by confirmations on the way back.
"""

from __future__ import annotations

import array
import sys
import time
from collections.abc import Callable

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import UInt8MultiArray

from bench_rclpy import work


class Pair:
    """One end of the pair."""

    def __init__(self, job: work.Job) -> None:
        self.job = job
        self.on: Callable[[UInt8MultiArray], None] = lambda message: None
        self.samples = array.array("d")
        self.node = rclpy.create_node(f"bench_{job.role}")
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE)
        out, back = ("bench_there", "bench_back") if job.role == "first" else ("bench_back", "bench_there")
        self.publisher = self.node.create_publisher(UInt8MultiArray, out, qos)
        self.subscription = self.node.create_subscription(UInt8MultiArray, back, lambda m: self.on(m), qos)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        while self.publisher.get_subscription_count() == 0 or self.node.count_publishers(back) == 0:
            time.sleep(0.005)
        # Nothing is handled before the work begins; the other side may be a moment later in finding us.
        time.sleep(0.5)

    def send(self, first: int, number: int, size: int | None = None) -> None:
        self.publisher.publish(UInt8MultiArray(data=work.message(size or self.job.size, first, number)))

    def run_until(self, done: Callable[[], bool]) -> None:
        """Handles messages until `done` says so."""
        while rclpy.ok() and not done():
            self.executor.spin_once(timeout_sec=0 if self.job.spin else None)

    def play(self) -> None:
        first = {"paced": self.send_paced, "stream": self.send_stream, "round-trip": self.answer}
        second = {"paced": self.take_paced, "stream": self.take_stream, "round-trip": self.ask}
        if self.job.role == "first":
            first[self.job.work]()
            # Leaves the other side time to read what was sent.
            time.sleep(1.0)
        else:
            second[self.job.work]()
            work.save(self.job.samples, self.samples)

    def send_paced(self) -> None:
        start = time.monotonic_ns() + 50_000_000
        for i in range(self.job.count):
            wait = start + i * self.job.period_ns - time.monotonic_ns()
            if wait > 0:
                time.sleep(wait / 1e9)
            self.send(time.monotonic_ns(), i)

    def take_paced(self) -> None:
        taken = 0

        def on(message: UInt8MultiArray) -> None:
            nonlocal taken
            stamp = work.first_word(message.data, self.job.size, taken)
            now = time.monotonic_ns()
            if taken >= self.job.warm_up:
                self.samples.append(now - stamp)
            taken += 1

        self.on = on
        self.run_until(lambda: taken == self.job.count)

    def send_stream(self) -> None:
        confirmed = 0

        def on(message: UInt8MultiArray) -> None:
            nonlocal confirmed
            confirmed = int.from_bytes(bytes(message.data[:8]), sys.byteorder)

        self.on = on
        for i in range(self.job.count):
            self.run_until(lambda: i - confirmed < work.AHEAD)
            self.send(i, i)

    def take_stream(self) -> None:
        taken, since = 0, 0

        def on(message: UInt8MultiArray) -> None:
            nonlocal taken, since
            work.first_word(message.data, self.job.size, taken)
            if taken % self.job.batch == 0:
                now = time.monotonic_ns()
                if taken > 0:
                    self.samples.append((now - since) / self.job.batch)
                since = now
            taken += 1
            if taken % work.CONFIRM == 0:
                self.send(taken, taken, size=8)

        self.on = on
        self.run_until(lambda: taken == self.job.count)

    def ask(self) -> None:
        taken = 0

        def on(message: UInt8MultiArray) -> None:
            nonlocal taken
            work.first_word(message.data, self.job.size, taken)
            taken += 1

        self.on = on
        for first in range(0, self.job.trips, self.job.batch):
            start = time.monotonic_ns()
            for i in range(first, first + self.job.batch):
                self.send(i, i)
                self.run_until(lambda: taken > i)
            if first >= self.job.warm_up:
                self.samples.append((time.monotonic_ns() - start) / (2 * self.job.batch))

    def answer(self) -> None:
        taken = 0

        def on(message: UInt8MultiArray) -> None:
            nonlocal taken
            work.first_word(message.data, self.job.size, taken)
            self.send(taken, taken)
            taken += 1

        self.on = on
        self.run_until(lambda: taken == self.job.trips)


def main() -> None:
    """Plays the role that the words name."""
    try:
        job = work.job_from(sys.argv[1:])
    except ValueError as e:
        sys.exit(f"bench_rclpy: {e}")
    rclpy.init()
    try:
        Pair(job).play()
    except ValueError as e:
        sys.exit(f"bench_rclpy: {e}")
    finally:
        rclpy.shutdown()


if __name__ == "__main__":
    main()
