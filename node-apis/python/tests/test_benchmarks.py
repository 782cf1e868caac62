"""The benchmarks of Python nodes and of isolation measure what they say: short runs of every figure, and their arithmetic.

No speed is asserted here.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path[:0] = [str(ROOT / "benches" / "python"), str(ROOT / "benches" / "isolation")]

import isolation  # noqa: E402
import loads  # noqa: E402
import plot  # noqa: E402
from pybench import environments, figures, machine, table  # noqa: E402


class Here(environments.Environment):
    """The interpreter and the `dora` of these tests, as an environment to be measured."""

    def __init__(self, dora):
        super().__init__("ours", Path(sys.prefix))
        self._dora = Path(dora)

    @property
    def dora(self):
        return self._dora


@pytest.fixture
def here(dora_bin):
    return Here(dora_bin)


def row(ours, reference, bar):
    metric = figures.Metric("p50", "p50", "µs", bar, 1e-3)
    return table.Row(figures.FIGURES[0], metric, ours, reference)


def test_percentiles_are_values_that_were_measured():
    values = list(range(1, 1001))
    assert [figures.percentile(values, share) for share in (50, 99, 99.9)] == [500, 990, 999]
    assert figures.percentile([7], 50) == figures.percentile([7], 99.9) == 7


def test_ratio_is_the_median_of_the_pairs_and_the_bar_judges_it():
    pairs = row([1000, 1000, 1000], [4000, 2000, 1000], figures.HALF)
    assert (pairs.ratio, pairs.met) == (0.5, True)
    assert row([2000], [1000], figures.HALF).met is False
    assert row([2000], [], figures.HALF).met is None, "without a reference there is nothing to say"
    assert row([0, 2000], [0, 0], figures.Bar("value", 1)).met is False, "one bad run is too many"
    assert "**missed**" in row([2000], [1000], figures.HALF).cells()[-1]


def test_machine_that_others_use_is_called_loaded(monkeypatch):
    shares = iter([0.02, 0.4])
    monkeypatch.setattr(machine, "busy", lambda: next(shares))
    load = machine.Load()
    load.look()
    assert load.verdict().startswith("quiet machine")
    load.look()
    assert load.verdict().startswith("LOADED MACHINE: before 1 of 2 runs")


@pytest.mark.parametrize("figure", figures.FIGURES, ids=lambda figure: figure.name)
def test_figure_runs_and_has_every_metric_that_its_table_shows(figure, here):
    run = figure.run(here, figures.Plan(part=100))
    assert all(metric.key in run.metrics for metric in figure.metrics), run.metrics
    assert run.metrics.get("lost", 0) == 0, run.remark
    if "p50" in run.metrics:
        assert 0 < run.metrics["p50"] <= run.metrics["p99"] <= run.metrics["max"] <= max(run.samples), run.metrics


@pytest.mark.parametrize("name", sorted(loads.LOADS))
def test_isolation_measures_the_loop_and_the_load_did_its_work(name, here):
    programs = os.environ.get("DORA_NATIVE_NODES")
    if not programs:
        pytest.skip("needs DORA_NATIVE_NODES, the folder of pendulum-plant and pendulum-controller")
    chosen = argparse.Namespace(core=0, rt="best-effort", seconds=6)
    load = loads.LOADS[name]()
    metrics, did = isolation.run(here, Path(programs).resolve(), load, chosen)
    assert all(metric.key in metrics for metric in isolation.METRICS), metrics
    assert did and all(value > 0 for value in did.values()), did
    page = plot.page("title", ["<about>"], [(load, [metrics], [metrics], "did")], isolation.METRICS)
    assert page.count("<circle") == 2 * len(isolation.METRICS) and "&lt;about&gt;" in page


def test_help_names_every_figure_and_load(clean_env):
    for script, names in [
        ("benches/python/bench.py", [figure.name for figure in figures.FIGURES]),
        ("benches/isolation/isolation.py", list(loads.LOADS)),
    ]:
        command = [sys.executable, str(ROOT / script), "--help"]
        shown = subprocess.run(command, env=clean_env, capture_output=True, text=True, timeout=60, check=True).stdout
        assert all(name in shown for name in names), shown
