#!/usr/bin/env python3
"""A native 1 kHz loop under `--rt`, with and without something terrible beside it, alternating.

    python benches/isolation/isolation.py                    all loads
    python benches/isolation/isolation.py control --pairs 9  one: python control restarts outside

The loop is the inverted pendulum of examples/: plant and controller, SCHED_FIFO on one core, a deadline of 500 µs from the
plant's send to the controller. The loads run wherever the kernel puts them. Figures are those of dora's own report.
Exit code 1 when the loop is worse with the load than the worst run without it.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

import loads  # noqa: E402
import plot  # noqa: E402
from pybench import environments, flow, machine, table  # noqa: E402


class Metric:
    """One number of a run. `judged` ones decide: their median with the load is compared with the worst run without."""

    def __init__(self, key, label, judged=True):
        self.key, self.label, self.judged = key, label, judged


METRICS = [
    Metric("state p50", "plant to controller p50, µs"),
    Metric("state p99", "plant to controller p99, µs"),
    Metric("state p99.9", "plant to controller p99.9, µs", judged=False),
    Metric("state max", "plant to controller max, µs", judged=False),
    Metric("force p50", "controller to plant p50, µs"),
    Metric("force p99", "controller to plant p99, µs"),
    Metric("timer p50", "timer lateness p50, µs"),
    Metric("timer p99", "timer lateness p99, µs"),
    Metric("timer max", "timer lateness max, µs", judged=False),
    Metric("ticks missed", "ticks missed"),
    Metric("deadline misses", "deadlines of 500 µs missed"),
    Metric("lost", "messages lost"),
]


def loop(programs, core):
    """The plant and the controller."""
    memory = {"max_message_bytes": 64, "depth": 4}
    plant = {
        "id": "plant",
        "path": str(programs / "pendulum-plant"),
        "cpu_affinity": [core],
        "rt": {"policy": "fifo", "priority": 70, "wait": "park"},
        "inputs": {"tick": "dora/timer/micros/1000", "force": "controller/force"},
        "outputs": ["state", "pose"],
        "output_layout": {"state": memory, "pose": memory},
    }
    controller = {
        "id": "controller",
        "path": str(programs / "pendulum-controller"),
        "cpu_affinity": [core],
        "rt": {"policy": "fifo", "priority": 80, "wait": "park"},
        "inputs": {"state": {"source": "plant/state", "deadline": "500us"}},
        "outputs": ["force"],
        "output_layout": {"force": memory},
    }
    return [plant, controller]


def metrics_of(report):
    """The numbers of one run."""
    edges = {edge["to"]: edge for edge in report["edges"]}
    state, force = edges["controller/state"], edges["plant/force"]
    (timer,) = (timer for timer in report["timers"] if timer["to"] == "plant/tick")
    for edge in (state, force):
        accounted = edge["taken"] + edge["overwritten"] + edge["flushed"] + edge["queued"]
        if edge["sent"] != accounted or not edge["taken"]:
            raise flow.Failed(f"the ledger of an edge is wrong: {edge}")
    return {
        "state p50": state["latency"]["p50_us"],
        "state p99": state["latency"]["p99_us"],
        "state p99.9": state["latency"]["p999_us"],
        "state max": state["latency"]["max_us"],
        "force p50": force["latency"]["p50_us"],
        "force p99": force["latency"]["p99_us"],
        "timer p50": timer["lateness"]["p50_us"],
        "timer p99": timer["lateness"]["p99_us"],
        "timer max": timer["lateness"]["max_us"],
        "ticks missed": timer["missed"],
        "deadline misses": state["deadline_missed"],
        "lost": sum(edge["overwritten"] + edge["flushed"] for edge in (state, force)),
    }


def run(environment, programs, load, chosen):
    """One run; gives its numbers, and what the load did."""
    with flow.Folder(environment) as folder:
        nodes = [*loop(programs, chosen.core), *load.nodes(folder)]
        flags = [f"--rt={chosen.rt}", "--report", "json", "--stop-after", f"{chosen.seconds}s"]
        running = folder.start(nodes, *flags, quiet=True)
        load.begin(folder, chosen.seconds)
        try:
            folder.finish(running, chosen.seconds + 120)
        finally:
            load.end()
        report = json.loads((folder.path / "stdout").read_text(encoding="utf-8"))
        return metrics_of(report), load.did(folder, report)


def pairs(environment, programs, load, chosen, seen):
    """Runs without and with the load, the first of each pair in turn."""
    off, on, did = [], [], []
    for pair in range(chosen.pairs):
        for beside in [loads.Load(), load][:: 1 if pair % 2 == 0 else -1]:
            look = seen.look()
            metrics, done = run(environment, programs, beside, chosen)
            (on if beside is load else off).append({**metrics, **look})
            if beside is load:
                did.append(done)
            said = ", ".join(f"{name} {table.short(metrics[name])}" for name in ("state p50", "state p99", "deadline misses"))
            done = ", ".join(f"{name} {table.short(value)}" for name, value in done.items())
            print(f"{load.name} {pair + 1}/{chosen.pairs} {beside.name}: {said}  {done}", file=sys.stderr)
    return off, on, did


def judge(metric, off, on):
    """Is it no worse than without? A load may make it better: a core that has work does not fall asleep."""
    return statistics.median(on) <= max(off) if metric.judged else None


def rows_of(load, off, on):
    """One row per metric."""
    for metric in METRICS:
        without, with_load = ([sample[metric.key] for sample in samples] for samples in (off, on))
        ratios = [b / a for a, b in zip(without, with_load) if a]
        ratio = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}–{max(ratios):.2f}]" if ratios else ""
        verdict = {None: "", True: "yes", False: "**no**"}[judge(metric, without, with_load)]
        yield [f"{load.name}: {metric.label}", table.spread(without), table.spread(with_load), ratio, verdict]


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loads", nargs="*", metavar="LOAD", help=f"any of {' '.join(loads.LOADS)}; default: all")
    parser.add_argument("--pairs", type=int, default=5, metavar="N", help="runs without and with (default 5)")
    parser.add_argument("--seconds", type=int, default=10, metavar="S", help="length of a run (default 10)")
    parser.add_argument("--core", type=int, default=1, metavar="N", help="core of the loop (default 1)")
    parser.add_argument("--rt", default="strict", choices=["strict", "best-effort"], help="as in `dora run --rt=…`")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every run, one object per line")
    parser.add_argument("--html", type=Path, metavar="FILE", help="a picture of all runs")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="this wheel instead of building one")
    parser.add_argument("--dora", type=Path, metavar="FILE", help="this `dora` instead of building one")
    parser.add_argument("--programs", type=Path, metavar="DIR", help="where pendulum-plant is, instead of building it")
    chosen = parser.parse_args()
    unknown = set(chosen.loads) - set(loads.LOADS)
    if unknown:
        parser.error(f"no load {', '.join(sorted(unknown))}; there are {', '.join(loads.LOADS)}")
    if chosen.pairs < 1 or chosen.seconds < 1:
        parser.error("--pairs and --seconds want 1 or more")
    return chosen


def main():
    chosen = arguments()
    environment = environments.ours(environments.target() / "bench-python", chosen.wheel, chosen.dora)
    programs = chosen.programs or environments.build("inverted-pendulum", "pendulum-plant").parent
    seen, rows, drawn, lines, worse = machine.Load(), [], [], [], False
    facts = {**machine.facts(), "ours": environment.versions()}
    for name in chosen.loads or loads.LOADS:
        load = loads.LOADS[name]()
        off, on, did = pairs(environment, programs.resolve(), load, chosen, seen)
        rows.extend(rows_of(load, off, on))
        worse |= any(judge(m, [s[m.key] for s in off], [s[m.key] for s in on]) is False for m in METRICS)
        done = {what: statistics.median(d[what] for d in did) for what in did[0]}
        drawn.append((load, off, on, ", ".join(f"{what} {table.short(value)}" for what, value in done.items())))
        lines.extend({"load": name, "off": a, "on": b, "did": d} for a, b, d in zip(off, on, did))
    head = ["median [smallest–largest]", "off", "on", "on / off", "within off"]
    text = table.markdown(head, rows)
    about = [*(f"{name}: {fact}" for name, fact in facts.items()), seen.verdict()]
    about += [f"{chosen.pairs} pairs of {chosen.seconds} s each; the loop on core {chosen.core}, --rt={chosen.rt}"]
    about += [f"{load.name}: {(load.__doc__ or '').strip()} Median of the runs: {done}" for load, _, _, done in drawn]
    print(*about, "", text, sep="\n")
    if chosen.json:
        objects = [{"machine": facts, "verdict": seen.verdict()}, *lines]
        chosen.json.write_text("".join(json.dumps(line) + "\n" for line in objects), encoding="utf-8")
    if chosen.html:
        shown = [metric for metric in METRICS if metric.judged]
        chosen.html.write_text(plot.page("Isolation", about, drawn, shown), encoding="utf-8")
    return 1 if worse else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except flow.Failed as failure:
        sys.exit(f"failed: {failure}")
