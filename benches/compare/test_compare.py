"""Tests of the driver: its arguments, its order, its arithmetic, and what it writes. Run by benches/support/tests/compare.rs."""

from __future__ import annotations

import array
import contextlib
import io
import json
import math
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import cyclone
import page
import plan
import report
import runner
import stats
import tables

ABOUT = {
    "machine": {"cpu": "C", "kernel": "K"}, "class": "SCHED_OTHER", "repetitions": 2, "budget_ns": 100.0, "quick": False,
    "time": "now", "missing": {},
}  # fmt: skip
STRESSED = {"load": "stress", "work": "paced", "wait": "park", "size": 64, "hz": 1000}
# A contestant in a few lines: it sends what it is told, or fails.
FAKE = """#!{python}
import array, json, os, sys
assert sys.argv[1] == "one"
words = dict(w.split("=") for w in sys.argv[3:])
if sys.argv[2] == "edge":
    sys.exit("edge | broke\\nLocation: nowhere")
n = int(words["count"])
array.array("d", (float(i + 1) for i in range(n))).tofile(open(os.environ["BENCH_SAMPLES"], "wb"))
print(json.dumps({{"msg/s": 5.0}} if words["work"] == "stream" else {{"p50": 1.0}}))
"""


def parsed(*words: str) -> plan.Plan:
    return plan.plan_from(plan.parser().parse_args(words))


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.path = Path(held.name)

    def samples(self, name: str, values: list[float]) -> str:
        (self.path / name).write_bytes(array.array("d", values).tobytes())
        return name

    def record(self, contestant: str, repetition: int, values: list[float], **more) -> dict:
        name = self.samples(f"{contestant}-{repetition}-{more.get('load', '')}.f64", values)
        base = STRESSED | {"contestant": contestant, "repetition": repetition, "samples": name}
        return base | stats.summary(values, 100.0) | more

    def results(self, name: str, records: list[dict], about: dict = ABOUT) -> Path:
        folder = self.path / name
        folder.mkdir()
        (folder / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [about, *records]))
        return folder


class Arguments(unittest.TestCase):
    def test_what_makes_no_sense_is_refused(self) -> None:
        for words in (
            ["--sizes", "7"], ["--sizes", "12"], ["--sizes", "4g"], ["--sizes", ""], ["--rates", "0"], ["--rates", "1.5"],
            ["--waits", "doze"], ["--loads", "idle,heavy"], ["--works", "fly"], ["--contestants", "us"],
            ["--seconds", "0"], ["--seconds", "nan"], ["--budget-us", "-1"], ["--repetitions", "many"], ["--colour"],
        ):  # fmt: skip
            with self.subTest(words), contextlib.redirect_stderr(io.StringIO()) as said:
                with self.assertRaises(SystemExit) as e:
                    parsed(*words)
                self.assertEqual(e.exception.code, 2)
                self.assertIn(words[0], said.getvalue())
        with self.assertRaises(SystemExit):
            parsed("--repetitions", "0")

    def test_sizes_are_read_as_people_write_them(self) -> None:
        self.assertEqual([plan.size_from(t) for t in ("8", "4k", "16M")], [8, 4096, 16 << 20])
        self.assertEqual([plan.bytes_of(s) for s in (8, 4096, 16 << 20)], ["8 B", "4 KB", "16 MB"])

    def test_the_full_matrix_has_every_cell_once(self) -> None:
        found = parsed().cells
        self.assertEqual(len(found), len(set(found)))
        # Two loads, two waits, six sizes; three rates, round trips, streams.
        self.assertEqual(len(found), 2 * 2 * 6 * (3 + 1 + 1))

    def test_quick_only_sets_what_was_not_given(self) -> None:
        quick = parsed("--quick", "--rates", "10", "--repetitions", "2")
        self.assertEqual({c.hz for c in quick.cells if c.work == "paced"}, {10})
        self.assertEqual((quick.repetitions, quick.seconds), (2, 0.3))
        self.assertEqual({c.load for c in quick.cells}, {"idle"})

    def test_contestants_take_turns_and_only_do_what_they_can(self) -> None:
        asked = parsed("--works", "paced", "--waits", "spin", "--sizes", "8", "--rates", "1000", "--loads", "idle", "--repetitions", "2")
        first, second = [able for _, _, able in asked.order()]
        self.assertEqual(first, second[::-1])
        self.assertNotIn("dora-1.1.0", first)
        self.assertNotIn("floor", first)

    def test_who_stays_with_the_ordinary_scheduler_does_so_under_rt_and_takes_part_only_there(self) -> None:
        words = ["--works", "paced", "--waits", "park", "--sizes", "8", "--rates", "10", "--loads", "idle"]
        with_rt, without = parsed("--rt", *words), parsed(*words)
        self.assertIn("iceoryx2-plain", next(with_rt.order())[2])
        self.assertNotIn("iceoryx2-plain", next(without.order())[2])
        self.assertIn("class=other", with_rt.words(with_rt.cells[0], ordinary=True))
        self.assertIn("class=fifo", with_rt.words(with_rt.cells[0]))

    def test_a_program_is_told_the_whole_run(self) -> None:
        cell = plan.Cell("idle", "paced", "park", 64, 100)
        self.assertEqual(
            parsed("--rt", "--seconds", "2").words(cell),
            ["work=paced", "wait=park", "size=64", "count=200", "batch=1", "class=fifo", "hz=100"],
        )
        stream = plan.Cell("idle", "stream", "spin", 64, 0)
        self.assertIn("count=100000", parsed().words(stream, slow=True))


class Arithmetic(Folder):
    def test_quantiles_are_samples_and_nothing_in_between(self) -> None:
        ordered = [float(i) for i in range(1, 1001)]
        self.assertEqual([stats.quantile(ordered, q) for q in (0.0, 0.5, 0.99, 0.999, 1.0)], [1, 500, 990, 999, 1000])
        self.assertEqual(stats.quantile([7.0], 0.999), 7.0)

    def test_the_worst_sample_is_never_lost(self) -> None:
        found = stats.summary([1.0] * 9999 + [1e9], 100.0)
        self.assertEqual((found["max"], found["p99.9"], found["over_budget"], found["count"]), (1e9, 1.0, 1, 10000))

    def test_no_samples_are_an_error(self) -> None:
        with self.assertRaises(ValueError):
            stats.summary([], 1.0)

    def test_a_broken_file_of_samples_is_named(self) -> None:
        (self.path / "half").write_bytes(b"1234")
        self.samples("nan", [1.0, math.nan])
        for name in ("half", "nan"):
            with self.subTest(name), self.assertRaisesRegex(ValueError, name):
                stats.read(self.path / name)

    def test_repetitions_are_pooled_and_ratios_are_taken_within_each(self) -> None:
        # The machine was ten times slower in the second repetition: the ratio does not see it.
        records = [self.record("rt", 0, [10.0]), self.record("rt", 1, [100.0])]
        records += [self.record("iceoryx2", 0, [20.0]), self.record("iceoryx2", 1, [200.0])]
        rows = {r["contestant"]: r for r in stats.rows(records, {id(r): self.path for r in records}, 100.0)}
        self.assertEqual(rows["iceoryx2"]["summary"]["count"], 2)
        self.assertEqual(rows["iceoryx2"]["summary"]["max"], 200.0)
        self.assertEqual(rows["iceoryx2"]["ratio"]["p99"], 0.5)
        self.assertEqual(rows["iceoryx2"]["p99_range"], (20.0, 200.0))

    def test_bars_can_be_met_and_missed(self) -> None:
        records = [self.record("rt", 0, [10.0]), self.record("iceoryx2", 0, [41.0]), self.record("dora-1.1.0", 0, [39.0])]
        records += [self.record("zenoh-shm", 0, [1.0])]
        verdicts = stats.bars(stats.rows(records, {id(r): self.path for r in records}, 100.0))
        self.assertEqual([v["met"] for v in verdicts], [True, False])

    def test_a_bar_is_not_decided_by_other_circumstances(self) -> None:
        records = [self.record(who, 0, [10.0], load="idle") for who in ("rt", "iceoryx2")]
        self.assertEqual(stats.bars(stats.rows(records, {id(r): self.path for r in records}, 100.0)), [])


class Cyclone(unittest.TestCase):
    PING = "".join(
        f"[9] {i}.000  vm:8 size 64 mean 22.4us min {i}.0us 50% 2{i}.5us 90% 28us 99% 1.5ms max 119.0us cnt 987\n[9] {i}.000  rss:7.2MB\n"
        for i in range(1, 5)
    )

    def test_the_first_second_is_left_out_and_units_are_read(self) -> None:
        found = cyclone.summary(cyclone.pings(self.PING))
        self.assertEqual((found["count"], found["min"], found["p50"], found["p99"]), (3 * 987, 2000.0, 23500.0, 1.5e6))

    def test_rates_are_messages_per_second(self) -> None:
        said = "[4] 2.000  size 64 total 18 lost 0 delta 11 lost 0 rate 1190.48 kS/s 609.53 Mb/s (183.55 kS/s 93.98 Mb/s)\n"
        self.assertEqual(cyclone.rates(said), [1190480.0])

    def test_silence_is_an_error(self) -> None:
        with self.assertRaises(ValueError):
            cyclone.summary(cyclone.pings("[9] participant vm: new (self)\n"))


class Output(Folder):
    def folder_with_all(self) -> Path:
        failed = STRESSED | {"contestant": "zenoh-shm", "repetition": 0, "error": "it | <b>broke</b>"}
        records = [self.record("rt", r, [float(i) for i in range(1, 400)]) for r in (0, 1)]
        records += [self.record("iceoryx2", r, [5.0 * i for i in range(1, 400)]) for r in (0, 1)]
        tool = STRESSED | {"contestant": "cyclonedds", "repetition": 0, "p50": 9e3, "p90": 9e3, "p99": 9e3, "max": 9e3, "count": 10}
        folder = self.results("a", [*records, failed, tool], ABOUT | {"missing": {"versus-dora": "not set"}})
        for r in records:
            (folder / r["samples"]).write_bytes((self.path / r["samples"]).read_bytes())
        return folder

    def test_table_and_page_say_what_was_measured_what_failed_and_what_is_missing(self) -> None:
        folder = self.folder_with_all()
        bars = report.write([folder], folder)
        self.assertEqual([v["met"] for v in bars], [True])
        table, text = (folder / "table.md").read_text(), (folder / "page.html").read_text()
        for said in (table, text):
            for word in ("1000 messages per second", "ours, RT API", "versus-dora", "not set", "0.20", "798", "another workload"):
                self.assertIn(word.lower(), said.lower())
        self.assertIn("failed: it / <b>broke</b>", table)
        self.assertIn("failed: it / &lt;b&gt;broke&lt;/b&gt;", text)

    def test_the_page_needs_nothing_from_elsewhere(self) -> None:
        folder = self.folder_with_all()
        report.write([folder], folder)
        text = (folder / "page.html").read_text()
        for word in ("http:", "https:", "<script", "<link", "@import", "url("):
            self.assertNotIn(word, text)
        self.assertEqual(text.count("<svg"), 2)

    def test_a_plot_keeps_the_extremes(self) -> None:
        samples = [1.0] * 5000
        samples[1234] = 9e9
        self.assertEqual(max(high for _, _, high in page.columns(samples, 100)), 9e9)
        points = page.tail_points(sorted(samples))
        self.assertEqual((points[0], points[-1]), ((1.0, 1.0), (9e9, 1 / 5000)))
        self.assertLess(len(points), 400)

    def test_figures_of_two_machines_do_not_meet_in_one_table(self) -> None:
        other = ABOUT | {"machine": {"cpu": "D", "kernel": "K"}}
        folders = [self.results("a", []), self.results("b", [], other)]
        with self.assertRaisesRegex(ValueError, "another machine"):
            report.merge(folders)

    def test_a_folder_without_results_is_named(self) -> None:
        with self.assertRaisesRegex(ValueError, "nothere"):
            report.load(self.path / "nothere")
        folder = self.results("c", [])
        (folder / "results.jsonl").write_text("hello\n")
        with self.assertRaisesRegex(ValueError, "JSON"):
            report.load(folder)

    def test_times_carry_their_unit(self) -> None:
        self.assertEqual([tables.time(t) for t in (25.34, 1500.0, 2.5e6, 3e9)], ["25.3 ns", "1.5 µs", "2.5 ms", "3 s"])


class Driver(Folder):
    def test_a_run_is_carried_out_recorded_and_its_failures_are_counted(self) -> None:
        program = self.path / "own"
        program.write_text(FAKE.format(python=sys.executable))
        program.chmod(0o755)
        asked = parsed("--quick", "--sizes", "64", "--waits", "park", "--contestants", "edge,rt,iceoryx2")
        programs = runner.Programs([str(self.path)], {"own", "versus-iceoryx2"})
        self.assertIn("versus-iceoryx2", programs.missing)
        out = self.path / "out"
        with contextlib.redirect_stderr(io.StringIO()):
            failed = runner.Run(asked, programs, out, ["env"]).measure()
        # `edge` fails in all three works; iceoryx2 is missing, which is said and is no failed run.
        self.assertEqual(failed, 3)
        about, records = report.load(out)
        self.assertIn("there is no versus-iceoryx2", about["missing"]["versus-iceoryx2"])
        self.assertEqual({r["error"] for r in records if r["contestant"] == "edge"}, {"edge | broke"})
        paced = next(r for r in records if r["contestant"] == "rt" and r["work"] == "paced")
        self.assertEqual((paced["count"], paced["max"]), (300, 300.0))
        self.assertEqual(len(stats.read(out / paced["samples"])), 300)
        report.write([out], out)
        self.assertIn("failed: edge / broke", (out / "table.md").read_text())

    def test_a_run_without_end_is_ended(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "no end"):
            runner.one_run(["sleep", "60"], self.path / "x", 0.2)

    def test_a_program_that_says_nothing_is_an_error(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "printed"):
            runner.one_run(["true"], self.path / "x", 20)


if __name__ == "__main__":
    unittest.main()
