"""Tests of what can be tested without ROS 2: arguments, commands, messages, records. Run by benches/support/tests/compare.rs."""

from __future__ import annotations

import array
import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "compare"), str(HERE / "bench_rclpy")]

import pairs
import report
import stats
from bench_rclpy import work

# A node in a few lines: the first does nothing, the second writes samples; one of the packages fails.
FAKE = """#!{python}
import array, os, sys
words = dict(w.split("=", 1) for w in sys.argv[1:])
if {fails}:
    sys.exit("it broke")
if words["role"] == "second":
    array.array("d", [2000.0] * (int(words["count"]) // int(words["batch"]))).tofile(open(words["samples"], "wb"))
"""
QUICK = ["--quick", "--waits", "park", "--sizes", "64"]


class Arguments(unittest.TestCase):
    def test_options_of_run_all_are_passed_on_and_ours_are_kept(self) -> None:
        own, rest, asked = pairs.arguments(["--out", "x", "--languages", "cpp", "--rt", "--sizes", "8,16M", "--rates", "10"])
        self.assertEqual((own.out, own.languages), ("x", ["cpp"]))
        self.assertEqual(rest, ["--rt", "--sizes", "8,16M", "--rates", "10"])
        self.assertTrue(asked.rt)
        self.assertEqual({c.size for c in asked.cells}, {8, 16 << 20})

    def test_what_makes_no_sense_is_refused(self) -> None:
        for words in (["--languages", "ada"], ["--sizes", "9"], ["--merge", "a"], ["--colour"]):
            with self.subTest(words), contextlib.redirect_stderr(io.StringIO()) as said:
                with self.assertRaises(SystemExit):
                    pairs.arguments(words)
                self.assertIn(words[0], said.getvalue())

    def test_every_language_meets_every_middleware(self) -> None:
        own, _, _ = pairs.arguments(["--rmw", "rmw_a,rmw_b"])
        self.assertEqual([name for name, _, _ in pairs.contestants(own)], ["rclcpp rmw_a", "rclcpp rmw_b", "rclpy rmw_a", "rclpy rmw_b"])
        own, _, _ = pairs.arguments([])
        self.assertEqual(pairs.contestants(own), [("rclcpp", "bench_rclcpp", ""), ("rclpy", "bench_rclpy", "")])

    def test_a_node_is_pinned_and_has_its_class(self) -> None:
        command = pairs.node_command(Path("/w"), "bench_rclcpp", 1, True, ["size=64"])
        self.assertEqual(" ".join(command), "taskset -c 1 chrt --fifo 60 /w/install/bench_rclcpp/lib/bench_rclcpp/node size=64")
        self.assertNotIn("chrt", pairs.node_command(Path("/w"), "bench_rclpy", 0, False, []))

    def test_without_a_build_it_says_how_to_make_one(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(pairs.main(["--workspace", "/nonexistent"]), 2)
        self.assertIn("--build", said.getvalue())


class Words(unittest.TestCase):
    FULL = "work=paced wait=park size=64 count=500 batch=1 hz=100 role=second samples=x"

    def test_a_run_is_read_from_its_words(self) -> None:
        job = work.job_from(self.FULL.split())
        self.assertEqual((job.work, job.role, job.spin, job.size), ("paced", "second", False, 64))
        self.assertEqual((job.count, job.period_ns, job.warm_up, job.trips), (500, 10_000_000, 50, 500))

    def test_what_cannot_be_run_is_refused_with_its_name(self) -> None:
        for old, new in (
            ("work=paced", "work=fly"), ("size=64", "size=12"), ("size=64 ", ""), ("count=500", "count=1"),
            ("role=second", "role=third"), ("samples=x", ""), ("hz=100", "hz=x"), ("batch=1", "batch=0"),
        ):  # fmt: skip
            named = (new or old).split("=")[0].replace("batch", "count")
            with self.subTest(new), self.assertRaisesRegex(ValueError, named):
                work.job_from(self.FULL.replace(old, new).split())

    def test_messages_carry_their_time_and_number_in_every_size(self) -> None:
        for size in (8, 16, 64, 4096, 65536):
            data = work.message(size, 77, 5)
            self.assertEqual((len(data), work.first_word(data, size, 5)), (size, 77))

    def test_a_wrong_message_is_found(self) -> None:
        for size in (16, 65536):
            with self.assertRaisesRegex(ValueError, "message 6"):
                work.first_word(work.message(size, 77, 5), size, 6)
            with self.assertRaisesRegex(ValueError, "bytes"):
                work.first_word(work.message(size, 77, 5), size + 8, 5)

    def test_samples_are_what_the_analysis_reads(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "s.f64"
            work.save(str(path), array.array("d", [3.0, 1.5]))
            self.assertEqual(list(stats.read(path)), [3.0, 1.5])


class Runs(unittest.TestCase):
    def setUp(self) -> None:
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.path = Path(held.name)
        for package, fails in (("bench_rclcpp", "False"), ("bench_rclpy", 'words["work"] == "stream"')):
            program = self.path / "install" / package / "lib" / package / "node"
            program.parent.mkdir(parents=True)
            program.write_text(FAKE.format(python=sys.executable, fails=fails))
            program.chmod(0o755)

    def test_pairs_are_measured_and_put_beside_others_in_one_table(self) -> None:
        out = self.path / "out"
        words = ["--workspace", str(self.path), "--out", str(out), "--without-ours", *QUICK]
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(pairs.main(words), 1)
        # rclpy fails in the stream, and in nothing else.
        self.assertEqual(json.loads(said.getvalue())["failed"], 1)
        about, records = report.load(out / "ros2")
        good = {(r["contestant"], r["work"]) for r in records if "error" not in r}
        self.assertEqual(good, {(c, w) for c in ("rclcpp", "rclpy") for w in ("paced", "round-trip", "stream")} - {("rclpy", "stream")})
        stream = next(r for r in records if r["work"] == "stream" and "error" not in r)
        self.assertEqual(stream["msg/s"], 500000.0)

        ours = self.path / "ours"
        (ours / "samples").mkdir(parents=True)
        (ours / "samples" / "rt.f64").write_bytes(array.array("d", [1000.0] * 10).tobytes())
        paced = next(r for r in records if r["work"] == "paced")
        rt = {k: paced[k] for k in ("load", "work", "wait", "size", "hz", "repetition")} | {"contestant": "rt", "samples": "samples/rt.f64"}
        rt |= stats.summary([1000.0] * 10, 100.0)
        (ours / "results.jsonl").write_text(json.dumps(about) + "\n" + json.dumps(rt) + "\n")
        report.write([ours, out / "ros2"], out)
        table = (out / "table.md").read_text()
        self.assertIn("| ours, RT API | 1 µs |", table)
        self.assertIn("| ROS 2, rclcpp | 2 µs |", table)
        self.assertIn("| 0.50 |", table)
        self.assertIn("failed: it broke", table)

    def test_a_node_that_hangs_is_ended_with_its_partner(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "no end"):
            pairs.one_pair([["sleep", "60"], ["sleep", "60"]], "", 0.3)

    def test_a_program_that_is_not_there_is_named(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "nothere"):
            pairs.one_pair([["/nothere/node"], ["true"]], "", 5)


if __name__ == "__main__":
    unittest.main()
