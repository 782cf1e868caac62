"""Runs the plan: programs in alternating order, one line of JSON per run, samples in files beside it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cyclone
import machine
import stats
from plan import CONTESTANTS, CYCLONE, STRESS, Cell, Plan

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM_OF = {c.name: c.program for c in CONTESTANTS}
KNOWN = {c.name: c for c in CONTESTANTS}
# A run that takes this long over the time of its messages has failed, seconds.
PATIENCE = 150
# Contestants that send a tenth of what others send back to back.
SLOW = ("dora-1.1.0", "dora-1.1.0-plain", "zenoh-shm", "familiar")


class Programs:
    """Where the benchmark programs are: in the folders given, or built now."""

    def __init__(self, folders: list[str], wanted: set[str]) -> None:
        self.missing: dict[str, str] = {}
        self.paths: dict[str, Path] = {}
        for program in sorted(wanted):
            try:
                self.paths[program] = find(program, folders) if folders else build(program)
            except RuntimeError as e:
                self.missing[program] = str(e)

    def command(self, contestant: str) -> list[str]:
        """The words that start it."""
        return [str(self.paths[PROGRAM_OF[contestant]]), "one", KNOWN[contestant].plays or contestant]


def find(program: str, folders: list[str]) -> Path:
    """The program in one of these folders."""
    for folder in folders:
        path = Path(folder).resolve() / program
        if path.is_file():
            return path
    raise RuntimeError(f"there is no {program} in {', '.join(folders)}")


def build(program: str) -> Path:
    """Builds a program, in release; each peer is a package of its own."""
    folder, package = (REPOSITORY, "bench-own") if program == "own" else (REPOSITORY / "benches/versus", program)
    command = ["cargo", "build", "--release", "-p", package, "--message-format", "json-render-diagnostics"]
    print(f"building {package} …", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as e:
        raise RuntimeError(f"cargo does not start: {e}") from e
    if done.returncode == 0:
        for line in done.stdout.splitlines():
            said = json.loads(line)
            if said.get("executable") and said.get("target", {}).get("name") == program:
                return Path(said["executable"])
    raise RuntimeError(f"{package} could not be built: run `{shlex.join(command[:5])}` in {folder}")


@contextlib.contextmanager
def burdened(load: str) -> Iterator[None]:
    """Burdens the machine while the block runs.

    Raises RuntimeError when stress-ng is missing or ends early.
    """
    if load == "idle":
        yield
        return
    if shutil.which(STRESS[0]) is None:
        raise RuntimeError(f"{STRESS[0]} is not installed (Debian: apt install {STRESS[0]})")
    burden = subprocess.Popen(STRESS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        time.sleep(1.0)
        yield
        if burden.poll() is not None:
            raise RuntimeError(f"{shlex.join(STRESS)} ended with {burden.returncode} while it should have burdened")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(burden.pid, signal.SIGTERM)
        burden.wait()


def one_run(command: list[str], samples: Path, limit: float) -> dict[str, float]:
    """Runs a program once; the metrics that it prints.

    Raises RuntimeError with what it said when it failed.
    """
    child = subprocess.Popen(
        command,
        env=os.environ | {"BENCH_SAMPLES": str(samples), "RUST_BACKTRACE": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"no end after {limit:.0f} s") from None
    finally:
        # Late, or we were interrupted: nobody is left running.
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    if child.returncode != 0:
        # The rest says where in the code.
        said = [line.strip() for line in err.partition("\nLocation:")[0].splitlines() if line.strip()]
        raise RuntimeError(" / ".join(said[:12]) or f"ended with {child.returncode}")
    try:
        return json.loads(out.strip().splitlines()[-1])
    except (ValueError, IndexError) as e:
        raise RuntimeError(f"printed {out[:200]!r}") from e


class Run:
    """A plan being carried out, and its folder of results."""

    def __init__(self, plan: Plan, programs: Programs, out: Path, prefix: list[str]) -> None:
        self.plan, self.programs, self.out, self.prefix = plan, programs, out, prefix
        (out / "samples").mkdir(parents=True, exist_ok=True)

    def measure(self) -> int:
        """Carries out the plan; how many runs failed."""
        failed = 0
        facts = machine.facts()
        with (self.out / "results.jsonl").open("w") as results:
            about = {
                "machine": facts,
                "class": "SCHED_FIFO 60, two pinned processes" if self.plan.rt else "SCHED_OTHER, two pinned processes",
                "repetitions": self.plan.repetitions,
                "budget_ns": self.plan.budget_ns,
                "quick": self.plan.quick,
                "time": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
                "missing": self.programs.missing,
            }
            self.write(results, about)
            for load in dict.fromkeys(c.load for c in self.plan.cells):
                try:
                    with burdened(load):
                        failed += self.measure_load(load, results)
                except RuntimeError as e:
                    failed += 1
                    self.write(results, {"not_measured": load, "error": str(e)})
        return failed

    def measure_load(self, load: str, results) -> int:
        """All cells of one load."""
        failed = 0
        for cell, repetition, able in self.plan.order():
            if cell.load != load:
                continue
            for contestant in able:
                if PROGRAM_OF[contestant] in self.programs.missing:
                    continue
                record = self.record(cell, repetition, contestant)
                failed += "error" in record
                self.write(results, record)
            if CYCLONE in self.plan.contestants and cell.wait == "park":
                record = self.record_cyclone(cell, repetition)
                failed += "error" in record
                self.write(results, record)
        return failed

    def start(self, cell: Cell, repetition: int, contestant: str) -> dict:
        """What every record of a run begins with."""
        print(f"{cell.name()}  {contestant}  {repetition + 1}/{self.plan.repetitions}", file=sys.stderr, flush=True)
        return {
            "load": cell.load, "work": cell.work, "wait": cell.wait, "size": cell.size, "hz": cell.hz,
            "contestant": contestant, "repetition": repetition,
        }  # fmt: skip

    def record(self, cell: Cell, repetition: int, contestant: str) -> dict:
        """One run of one contestant."""
        record = self.start(cell, repetition, contestant)
        samples = Path("samples") / f"{cell.name()}-{contestant}-{repetition}.f64"
        path = (self.out / samples).resolve()
        path.unlink(missing_ok=True)
        words = self.plan.words(cell, slow=contestant in SLOW, ordinary=KNOWN[contestant].ordinary)
        command = [*self.prefix, *self.programs.command(contestant), *words]
        needed = self.plan.numbers(cell)[0] / cell.hz if cell.hz else 0
        try:
            metrics = one_run(command, path, needed + PATIENCE)
            record |= stats.summary(stats.read(path), self.plan.budget_ns)
        except (RuntimeError, ValueError, OSError) as e:
            path.unlink(missing_ok=True)
            return record | {"error": str(e)}
        if "msg/s" in metrics:
            record["msg/s"] = metrics["msg/s"]
        return record | {"samples": str(samples)}

    def record_cyclone(self, cell: Cell, repetition: int) -> dict:
        """One run of ddsperf, which keeps no samples."""
        record = self.start(cell, repetition, CYCLONE)
        raw = Path("samples") / f"{cell.name()}-{CYCLONE}-{repetition}.txt"
        try:
            found = cyclone.run(cell.work, cell.size, cell.hz, self.plan.rt, self.out / raw)
        except RuntimeError as e:
            return record | {"error": str(e)}
        return record | found | {"own_tool": True, "raw": str(raw)}

    @staticmethod
    def write(results, record: dict) -> None:
        """One line, at once: a run that is interrupted keeps what it has."""
        results.write(json.dumps(record) + "\n")
        results.flush()
