#!/usr/bin/env python3
"""From a plain machine to a loop that holds 1 kHz: what each step of docs/realtime.md section 10 buys on this one.

    python benches/steps/steps.py --dora target/release/dora --programs target/release
    python benches/steps/steps.py --rounds 1 --json runs.jsonl      appends; then
    python benches/steps/steps.py --from runs.jsonl                 the table of all that was appended

The loop is the inverted pendulum of examples/, 1000 Hz. Each step keeps those before it. Each round runs every step once on
the machine as it is and once under `stress-ng --cpu 2 --vm 1 --io 1`. Figures are those of dora's own report, medians of the rounds with
the smallest and the largest. Steps that need rights are left out with a word when the run is refused them.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "python"), str(HERE.parent / "isolation")]

import isolation  # noqa: E402
from pybench import environments, flow, machine, table  # noqa: E402

STRESS = ["stress-ng", "--cpu", "2", "--vm", "1", "--io", "1", "--quiet"]
SHOWN = ["state p50", "state p99", "state max", "timer p99", "timer max", "ticks missed", "deadline misses"]
STEPS = ["as it comes", "+ core", "+ priority", "+ locked memory", "+ output_layout"]


class Plain:
    """Just a `dora`: what `flow` asks of an environment."""

    name = "ours"

    def __init__(self, dora):
        self.dora = dora.resolve()

    def variables(self):
        """This process' environment as it is."""
        return None


def nodes_of(step, programs, core):
    """The loop with the first `step` steps applied."""
    nodes = isolation.loop(programs, core)
    for node in nodes:
        if step < 1:
            del node["cpu_affinity"]
        if step < 2:
            del node["rt"]
        elif step < 3:
            node["rt"]["lock_memory"] = False
        if step < 4:
            del node["output_layout"]
    return nodes


def run(environment, programs, step, chosen):
    """One run; its numbers."""
    with flow.Folder(environment) as folder:
        flags = ["--report", "json", "--stop-after", f"{chosen.seconds}s"] + (["--rt"] if step >= 2 else [])
        running = folder.start(nodes_of(step, programs, chosen.core), *flags)
        folder.finish(running, chosen.seconds + 120)
        return isolation.metrics_of(json.loads((folder.path / "stdout").read_text(encoding="utf-8")))


def measure(environment, programs, load, chosen):
    """Every step once; the order turns from round to round."""
    stress = subprocess.Popen(STRESS) if load == "stress" else None
    try:
        for step in chosen.order:
            numbers = run(environment, programs, step, chosen)
            said = ", ".join(f"{key} {table.short(numbers[key])}" for key in SHOWN[:3])
            print(f"{load}: {STEPS[step]}: {said}", file=sys.stderr)
            yield {"load": load, "step": step, **numbers}
    finally:
        if stress:
            stress.terminate()
            stress.wait()


def rows(runs):
    """One row per load and step."""
    for load in ("idle", "stress"):
        for step, name in enumerate(STEPS):
            found = [line for line in runs if (line["load"], line["step"]) == (load, step)]
            if found:
                yield [f"{load}: {name}", *(table.spread([line[key] for line in found]) for key in SHOWN)]


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs of each step and load (default 5)")
    parser.add_argument("--seconds", type=int, default=8, metavar="S", help="length of a run (default 8)")
    parser.add_argument("--core", type=int, default=1, metavar="N", help="core of the loop (default 1)")
    parser.add_argument("--dora", type=Path, metavar="FILE", help="this `dora` instead of building one")
    parser.add_argument("--programs", type=Path, metavar="DIR", help="where pendulum-plant is, instead of building it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append every run, one object per line")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="measure nothing; the table of this file")
    chosen = parser.parse_args()
    if chosen.rounds < 1 or chosen.seconds < 1:
        parser.error("--rounds and --seconds want 1 or more")
    return chosen


def all_runs(chosen):
    """Measures; gives what was found."""
    if not shutil.which("stress-ng"):
        raise flow.Failed("`stress-ng` is not installed (Debian, Ubuntu: `apt install stress-ng`)")
    dora = chosen.dora or environments.build("dora-cli", "dora")
    programs = chosen.programs or environments.build("inverted-pendulum", "pendulum-plant").parent
    found = []
    for turn in range(chosen.rounds):
        chosen.order = list(range(len(STEPS)))[:: 1 if turn % 2 == 0 else -1]
        for load in ("idle", "stress"):
            found.extend(measure(Plain(dora), programs.resolve(), load, chosen))
    if chosen.json:
        with chosen.json.open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(line) + "\n" for line in found)
    return found


def main():
    chosen = arguments()
    if chosen.source:
        runs = [json.loads(line) for line in chosen.source.read_text(encoding="utf-8").splitlines()]
    else:
        runs = all_runs(chosen)
        print(*(f"{name}: {fact}" for name, fact in machine.facts().items()), "", sep="\n")
    print(table.markdown(["median [smallest–largest], µs and counts", *SHOWN], rows(runs)))


if __name__ == "__main__":
    try:
        main()
    except flow.Failed as failure:
        sys.exit(f"failed: {failure}")
