#!/usr/bin/env python3
"""Python nodes of this source beside those of the reference from PyPI: same node files, same interpreter, alternating.

    python benches/python/bench.py                         all figures
    python benches/python/bench.py --quick rate start      some: paced-64B paced-1MB round-trip rate rate-full start memory

Makes both virtual environments under target/bench-python/ on the first run (cargo, network). Exit code 1 when a bar is missed.
"""

import argparse
import json
import sys
from pathlib import Path

from pybench import environments, figures, flow, machine, table


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [figure.name for figure in figures.FIGURES]
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"any of {' '.join(names)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="runs of each side (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="one object per metric and per run")
    parser.add_argument("--raw", type=Path, metavar="DIR", help="keep every sample, one file per run")
    parser.add_argument("--cores", metavar="A,B", help="keep the two nodes on these cores; default: anywhere")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="this wheel instead of building one")
    parser.add_argument("--dora", type=Path, metavar="FILE", help="this `dora` instead of building one")
    parser.add_argument("--ours-only", action="store_true", help="without the reference: no ratios, no network")
    chosen = parser.parse_args()
    unknown = set(chosen.figures) - set(names)
    if unknown:
        parser.error(f"no figure {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if chosen.repetitions < 1:
        parser.error("--repetitions wants 1 or more")
    chosen.pair = cores(parser, chosen.cores)
    return chosen


def cores(parser, text):
    """Two cores from `A,B`."""
    if text is None:
        return (None, None)
    words = text.split(",")
    if len(words) != 2 or not all(word.isdigit() for word in words):
        parser.error(f"--cores wants two numbers like 0,1, not {text!r}")
    return tuple(int(word) for word in words)


def measure(figure, sides, plan, repetitions, load, keep):
    """Runs each side `repetitions` times in alternating order; gives the runs of each by name."""
    runs = {side.name: [] for side in sides}
    for repetition in range(repetitions):
        for side in sides if repetition % 2 == 0 else reversed(sides):
            seen = load.look()
            print(f"{figure.name} {repetition + 1}/{repetitions} {side.name} …", end=" ", file=sys.stderr, flush=True)
            run = figure.run(side, plan)
            keep(figure, side, repetition, run, seen)
            runs[side.name].append(run)
            said = ", ".join(f"{m.label} {table.short(run.metrics[m.key] * m.scale)} {m.unit}" for m in figure.metrics)
            print(said + (f"; {run.remark}" if run.remark else "") + f" (busy before: {seen['busy']:.0%})", file=sys.stderr)
    return runs


def rows_of(figure, runs):
    """The rows of a measured figure."""
    for metric in figure.metrics:
        values = {name: [run.metrics[metric.key] for run in of_side] for name, of_side in runs.items()}
        yield table.Row(figure, metric, values["ours"], values.get("reference", []))


def remarks_of(figure, runs):
    """What must be said about a measured figure, a sentence per side."""
    for name, of_side in runs.items():
        said = [run.remark for run in of_side if run.remark]
        if said:
            yield f"{figure.title}: {name}: {len(said)} of {len(of_side)} runs: {' / '.join(said)}"


class Keeper:
    """Writes lines of JSON and raw samples, where they are wanted."""

    def __init__(self, lines, raw):
        self._lines = open(lines, "w", encoding="utf-8") if lines else None  # noqa: SIM115 (open until the end)
        self._raw = raw
        if raw:
            raw.mkdir(parents=True, exist_ok=True)

    def line(self, **fields):
        """One object."""
        if self._lines:
            print(json.dumps(fields), file=self._lines, flush=True)

    def run(self, figure, side, repetition, run, seen):
        """One run."""
        fields = {"run": figure.name, "side": side.name, "repetition": repetition, **seen}
        self.line(**fields, metrics=run.metrics, remark=run.remark)
        if self._raw and run.samples:
            path = self._raw / f"{figure.name}-{side.name}-{repetition}.json"
            path.write_text(json.dumps({**fields, "unit": "ns", "samples": run.samples}), encoding="utf-8")


def main():
    chosen = arguments()
    work = environments.target() / "bench-python"
    sides = [environments.ours(work, chosen.wheel, chosen.dora)]
    if not chosen.ours_only:
        sides.append(environments.reference(work))
    keeper, load = Keeper(chosen.json, chosen.raw), machine.Load()
    facts = {**machine.facts(), **{side.name: side.versions() for side in sides}}
    keeper.line(machine=facts)
    plan = figures.Plan(10 if chosen.quick else 1, chosen.pair)
    rows, remarks = [], []
    for figure in figures.FIGURES:
        if chosen.figures and figure.name not in chosen.figures:
            continue
        runs = measure(figure, sides, plan, chosen.repetitions, load, keeper.run)
        rows.extend(rows_of(figure, runs))
        remarks.extend(remarks_of(figure, runs))
    for row in rows:
        keeper.line(**row.as_json())
    keeper.line(load=load.verdict(), remarks=remarks)
    print(*(f"{name}: {fact}" for name, fact in facts.items()), load.verdict(), sep="\n")
    print(f"nodes {'anywhere' if chosen.cores is None else 'on cores ' + chosen.cores}, {chosen.repetitions} repetitions\n")
    print(table.markdown(table.HEAD, [row.cells() for row in rows]))
    if remarks:
        print("", *remarks, sep="\n")
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except flow.Failed as failure:
        sys.exit(f"failed: {failure}")
