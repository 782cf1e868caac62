"""Runs pairs of ROS 2 nodes, and writes the records that benches/run-all writes."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import machine
import plan
import report
import runner
import stats

HERE = Path(__file__).resolve().parent
LANGUAGES = {"cpp": ("rclcpp", "bench_rclcpp"), "python": ("rclpy", "bench_rclpy")}
# Over the time of its messages: discovery, start and end of two nodes, seconds.
PATIENCE = 90


def arguments(words: list[str]) -> tuple[argparse.Namespace, list[str], plan.Plan]:
    """Our own options, the words that run-all gets, and the plan that both follow."""
    p = argparse.ArgumentParser(prog="run", description="ROS 2 pairs at our work; other options are those of benches/run-all.")
    p.add_argument("--out", default="target/compare-ros2", help="folder for the results (default: %(default)s)")
    p.add_argument("--build", action="store_true", help="build the pairs with colcon and end")
    p.add_argument("--workspace", default=str(HERE / "ws"), help="where colcon builds (default: %(default)s)")
    p.add_argument("--languages", default="cpp,python", help="of cpp, python (default: both)")
    p.add_argument("--rmw", default="", help="comma-separated RMW_IMPLEMENTATIONs; default: that of the environment")
    p.add_argument("--without-ours", action="store_true", help="do not run benches/run-all afterwards")
    own, rest = p.parse_known_args(words)
    own.languages = own.languages.split(",")
    for language in own.languages:
        if language not in LANGUAGES:
            p.error(f"--languages: {language!r} is none of {', '.join(LANGUAGES)}")
    theirs = plan.parser().parse_args(rest)
    if theirs.merge:
        p.error("--merge belongs to benches/run-all")
    return own, rest, plan.plan_from(theirs)


def contestants(own: argparse.Namespace) -> list[tuple[str, str, str]]:
    """(name in the results, package, RMW_IMPLEMENTATION or nothing) of each pair."""
    found = []
    for language in own.languages:
        name, package = LANGUAGES[language]
        for rmw in own.rmw.split(","):
            found.append((f"{name} {rmw}".strip(), package, rmw))
    return found


def node_command(workspace: Path, package: str, core: int, rt: bool, words: list[str]) -> list[str]:
    """Starts one node, pinned, under the class of the run."""
    program = workspace / "install" / package / "lib" / package / "node"
    return ["taskset", "-c", str(core), *(["chrt", "--fifo", "60"] if rt else []), str(program), *words]


def build(workspace: Path) -> int:
    """Builds both packages with colcon."""
    if shutil.which("colcon") is None or "ROS_DISTRO" not in os.environ:
        print("run: needs colcon and a sourced ROS 2: `source /opt/ros/DISTRO/setup.bash`", file=sys.stderr)
        return 2
    workspace.mkdir(parents=True, exist_ok=True)
    command = ["colcon", "build", "--base-paths", str(HERE), "--cmake-args", "-DCMAKE_BUILD_TYPE=Release"]
    return subprocess.run(command, cwd=workspace, check=False).returncode


def one_pair(commands: list[list[str]], rmw: str, limit: float) -> None:
    """Runs both nodes to their end.

    Raises RuntimeError with what they said when one failed or took too long; neither is left running.
    """
    environment = os.environ | ({"RMW_IMPLEMENTATION": rmw} if rmw else {})
    nodes = []
    try:
        for command in commands:
            nodes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        end = time.monotonic() + limit
        # The second measures; should it fail, the first would wait for it.
        for node in reversed(nodes):
            try:
                said, _ = node.communicate(timeout=max(end - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"no end after {limit:.0f} s") from None
            if node.returncode != 0:
                raise RuntimeError(" / ".join(said.split("\n")[:6]).strip(" /") or f"ended with {node.returncode}")
    except OSError as e:
        raise RuntimeError(f"{e.filename}: {e.strerror}; was it built with --build?") from e
    finally:
        for node in nodes:
            if node.poll() is None:
                node.kill()
                node.communicate()


def measure(own: argparse.Namespace, asked: plan.Plan, out: Path) -> int:
    """Carries out the plan with all pairs, in alternating order; how many runs failed."""
    (out / "samples").mkdir(parents=True, exist_ok=True)
    failed = 0
    with (out / "results.jsonl").open("w") as results:
        about = {
            "machine": machine.facts(), "class": "SCHED_FIFO 60" if asked.rt else "SCHED_OTHER",
            "repetitions": asked.repetitions, "budget_ns": asked.budget_ns, "quick": asked.quick,
            "time": time.strftime("%Y-%m-%d %H:%M:%S %Z"), "missing": {},
        }  # fmt: skip
        runner.Run.write(results, about)
        for load in dict.fromkeys(c.load for c in asked.cells):
            try:
                with runner.burdened(load):
                    for cell in (c for c in asked.cells if c.load == load):
                        for repetition in range(asked.repetitions):
                            pairs = contestants(own)
                            for pair in pairs if repetition % 2 == 0 else pairs[::-1]:
                                record = run_one(own, asked, cell, repetition, pair, out)
                                failed += "error" in record
                                runner.Run.write(results, record)
            except RuntimeError as e:
                failed += 1
                runner.Run.write(results, {"not_measured": load, "error": str(e)})
    return failed


def run_one(own: argparse.Namespace, asked: plan.Plan, cell: plan.Cell, repetition: int, pair: tuple, out: Path) -> dict:
    """One run of one pair, as a record."""
    name, package, rmw = pair
    print(f"{cell.name()}  {name}  {repetition + 1}/{asked.repetitions}", file=sys.stderr, flush=True)
    record = {
        "load": cell.load, "work": cell.work, "wait": cell.wait, "size": cell.size, "hz": cell.hz,
        "contestant": name, "repetition": repetition,
    }  # fmt: skip
    samples = Path("samples") / f"{cell.name()}-{name.replace(' ', '-')}-{repetition}.f64"
    path = (out / samples).resolve()
    path.unlink(missing_ok=True)
    # They send a tenth of what others send back to back.
    words = asked.words(cell, slow=True)
    commands = [
        node_command(Path(own.workspace), package, core, asked.rt, [*words, f"role={role}", f"samples={path}"])
        for core, role in enumerate(("first", "second"))
    ]
    needed = asked.numbers(cell)[0] / cell.hz if cell.hz else 0
    try:
        one_pair(commands, rmw, needed + PATIENCE)
        found = stats.summary(stats.read(path), asked.budget_ns)
    except (RuntimeError, ValueError, OSError) as e:
        path.unlink(missing_ok=True)
        return record | {"error": str(e)}
    if cell.work == "stream":
        values = stats.read(path)
        found["msg/s"] = 1e9 * len(values) / sum(values)
    return record | found | {"samples": str(samples)}


def main(words: list[str]) -> int:
    """Exit code 1 when a run failed, 2 when nothing can be measured here."""
    own, rest, asked = arguments(words)
    if own.build:
        return build(Path(own.workspace))
    missing = [p for _, p, _ in contestants(own) if not (Path(own.workspace) / "install" / p).is_dir()]
    if missing:
        print(f"run: {missing[0]} is not built in {own.workspace}: `benches/ros2/run --build` first", file=sys.stderr)
        return 2
    out = Path(own.out)
    failed = measure(own, asked, out / "ros2")
    folders = [out / "ros2"]
    if not own.without_ours:
        ours = subprocess.run([str(HERE.parent / "run-all"), *rest, "--out", str(out / "ours")], check=False)
        failed += ours.returncode == 1
        if ours.returncode == 2:
            return 2
        folders.insert(0, out / "ours")
    report.write(folders, out)
    print(json.dumps({"table": str(out / "table.md"), "page": str(out / "page.html"), "failed": failed}))
    return 1 if failed else 0
