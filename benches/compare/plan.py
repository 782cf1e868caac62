"""What is measured: contestants, cells of the matrix, and how many messages each run sends."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Iterator

SIZES = (8, 64, 4096, 65536, 1 << 20, 16 << 20)
RATES = (10, 100, 1000)
WORKS = ("paced", "round-trip", "stream")
WAITS = ("spin", "park")
LOADS = ("idle", "stress")

# What burdens the machine in the load "stress".
STRESS = ("stress-ng", "--cpu", "2", "--vm", "1", "--io", "1")


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One who takes part: its name in the results, the program that plays it, and what it can do."""

    name: str
    program: str
    label: str
    waits: tuple[str, ...] = WAITS
    works: tuple[str, ...] = WORKS
    # None: all sizes.
    sizes: tuple[int, ...] | None = None
    # What the program knows it as, when that is another name.
    plays: str | None = None
    # Stays with the ordinary scheduler even with --rt.
    ordinary: bool = False

    def can(self, cell: Cell) -> bool:
        """Whether it takes part in this cell."""
        return (
            cell.wait in self.waits and cell.work in self.works and (self.sizes is None or cell.size in self.sizes)
        )


CONTESTANTS = (
    Contestant("floor", "own", "bare futex or cache line", works=("paced", "round-trip"), sizes=(64,)),
    Contestant("edge", "own", "ours, edge alone"),
    Contestant("rt", "own", "ours, RT API"),
    Contestant("familiar", "own", "ours, familiar API"),
    Contestant("iceoryx2", "versus-iceoryx2", "iceoryx2 0.10, pinned, same class"),
    Contestant("iceoryx2-plain", "versus-iceoryx2", "iceoryx2 0.10, pinned, SCHED_OTHER", plays="iceoryx2", ordinary=True),
    Contestant("zenoh-shm", "versus-zenoh-shm", "zenoh 1.10, shared memory", waits=("park",)),
    Contestant("dora-1.1.0", "versus-dora", "dora 1.1.0, pinned, same class", waits=("park",)),
    Contestant("dora-1.1.0-plain", "versus-dora", "dora 1.1.0, as `dora run` starts it", waits=("park",)),
)
# Measured by its own tool, with its own work: shown apart.
CYCLONE = "cyclonedds"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One set of circumstances that all contestants meet."""

    load: str
    work: str
    wait: str
    size: int
    # Messages per second of paced work, otherwise 0.
    hz: int

    def name(self) -> str:
        """For file names, and to tell cells apart."""
        rate = f"-{self.hz}hz" if self.work == "paced" else ""
        return f"{self.load}-{self.work}{rate}-{self.wait}-{self.size}"

    def title(self) -> str:
        """For people."""
        work = {
            "paced": f"one way, {self.hz} messages per second",
            "round-trip": "round trip / 2, back to back",
            "stream": "back to back, nothing lost",
        }[self.work]
        reader = "readers spin" if self.wait == "spin" else "readers sleep"
        return f"{work}, {bytes_of(self.size)}, {reader}, {self.load}"


def bytes_of(size: int) -> str:
    """A size as people write it."""
    for unit, factor in (("MB", 1 << 20), ("KB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What was asked for."""

    cells: tuple[Cell, ...]
    contestants: tuple[str, ...]
    repetitions: int
    quick: bool
    seconds: float
    rt: bool
    budget_ns: float

    def numbers(self, cell: Cell) -> tuple[int, int]:
        """Messages of a run, and messages that one sample covers."""
        if cell.work == "paced":
            return (max(20, int(cell.hz * self.seconds)), 1)
        factor = 10 if self.quick else 1
        if cell.work == "round-trip":
            return ((200_000 if cell.wait == "spin" else 20_000) // factor, 1)
        return (1_000_000 // factor, 100)

    def words(self, cell: Cell, slow: bool = False, ordinary: bool = False) -> list[str]:
        """What a program is told about a run. `slow`: a tenth of the messages that are sent back to back; `ordinary`: without
        a real-time class."""
        count, batch = self.numbers(cell)
        if slow and cell.work != "paced":
            count = max(count // 10, 2 * batch)
        words = [f"work={cell.work}", f"wait={cell.wait}", f"size={cell.size}", f"count={count}", f"batch={batch}"]
        words.append(f"class={'fifo' if self.rt and not ordinary else 'other'}")
        if cell.work == "paced":
            words.append(f"hz={cell.hz}")
        return words

    def order(self) -> Iterator[tuple[Cell, int, list[str]]]:
        """Every cell, every repetition, and who goes in which order: each repetition turns it round."""
        for cell in self.cells:
            able = [c.name for c in CONTESTANTS if c.name in self.contestants and c.can(cell) and (self.rt or not c.ordinary)]
            for repetition in range(self.repetitions):
                yield cell, repetition, able if repetition % 2 == 0 else able[::-1]


def cells(loads: list[str], works: list[str], waits: list[str], sizes: list[int], rates: list[int]) -> list[Cell]:
    """The matrix, load by load."""
    found = []
    for load, work, wait, size in itertools.product(loads, works, waits, sizes):
        for hz in rates if work == "paced" else [0]:
            found.append(Cell(load, work, wait, size, hz))
    return found


def size_from(text: str) -> int:
    """`64`, `4k`, `16M` in bytes."""
    factor = {"k": 1 << 10, "m": 1 << 20}.get(text[-1:].lower(), 1)
    digits = text if factor == 1 else text[:-1]
    if not digits.isdigit() or int(digits) * factor < 8 or int(digits) * factor % 8:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: a multiple of 8 bytes, such as 64, 4k or 16M")
    return int(digits) * factor


def some_of(known: tuple[str, ...]) -> object:
    """Parses a comma-separated choice."""

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        for word in chosen:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(known)}")
        return chosen

    return parse


def rates_from(text: str) -> list[int]:
    """Comma-separated messages per second."""
    words = text.split(",")
    if not all(w.isdigit() and int(w) >= 1 for w in words):
        raise argparse.ArgumentTypeError(f"{text!r} are no rates: whole numbers from 1 on, such as 10,100,1000")
    return [int(w) for w in words]


def positive(text: str) -> float:
    """A number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above zero")
    return value


def parser() -> argparse.ArgumentParser:
    """The command line of `run-all`."""
    names = tuple(c.name for c in CONTESTANTS) + (CYCLONE,)
    p = argparse.ArgumentParser(prog="run-all", description="Measures us beside our peers; writes results.jsonl, table.md, page.html and every raw sample.")
    p.add_argument("--out", default="target/compare", help="folder for the results (default: %(default)s)")
    p.add_argument("--quick", action="store_true", help="a few messages of a few cells, to see that everything works")
    p.add_argument("--contestants", type=some_of(names), default=list(names), help="comma-separated, of " + ", ".join(names))
    p.add_argument("--loads", type=some_of(LOADS), help="of " + ", ".join(LOADS) + f" ({' '.join(STRESS)})")
    p.add_argument("--works", type=some_of(WORKS), help="of " + ", ".join(WORKS))
    p.add_argument("--waits", type=some_of(WAITS), help="of " + ", ".join(WAITS))
    p.add_argument("--sizes", type=lambda t: [size_from(w) for w in t.split(",")], help="such as 64,4k,16M")
    p.add_argument("--rates", type=rates_from, help="messages per second of paced work, such as 10,100,1000")
    p.add_argument("--repetitions", type=int, help="runs of each contestant in each cell (default: 3)")
    p.add_argument("--seconds", type=positive, help="length of a paced run (default: 3, at least 20 messages)")
    p.add_argument("--budget-us", type=positive, default=100.0, help="samples above this are counted (default: %(default)s)")
    p.add_argument("--rt", action="store_true", help="SCHED_FIFO for the measured threads; needs the right to it")
    p.add_argument("--programs", action="append", default=[], metavar="DIR", help="take the programs from here; nothing is built")
    p.add_argument("--prefix", default="", help="words put before the command of each run")
    p.add_argument("--merge", nargs="+", default=[], metavar="DIR", help="measure nothing: one table and page of these results")
    return p


def plan_from(args: argparse.Namespace) -> Plan:
    """The plan that a command line asks for; `--quick` only sets what was not given."""
    quick = args.quick
    chosen = cells(
        args.loads or (["idle"] if quick else list(LOADS)),
        args.works or list(WORKS),
        args.waits or list(WAITS),
        args.sizes or ([64, 1 << 20] if quick else list(SIZES)),
        args.rates or ([1000] if quick else list(RATES)),
    )
    repetitions = args.repetitions if args.repetitions is not None else (1 if quick else 3)
    if repetitions < 1:
        raise SystemExit("run-all: --repetitions wants 1 or more")
    return Plan(
        cells=tuple(chosen),
        contestants=tuple(args.contestants),
        repetitions=repetitions,
        quick=quick,
        seconds=args.seconds or (0.3 if quick else 3.0),
        rt=args.rt,
        budget_ns=args.budget_us * 1000,
    )
