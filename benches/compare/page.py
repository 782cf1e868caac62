"""One HTML page without anything from elsewhere: tables and plots of the raw samples, as SVG.

Each cell gets two plots: how often a sample exceeds a time (both axes logarithmic: what matters is the tail), and every
sample in the order it was measured. Where several samples share a column of pixels, the column spans from the least to the
greatest of them.
"""

from __future__ import annotations

import html
import math
from array import array
from collections.abc import Sequence
from pathlib import Path

import stats
import tables

COLOURS = {
    "floor": "#999999", "edge": "#56b4e9", "rt": "#0072b2", "familiar": "#009e73", "iceoryx2": "#d55e00", "iceoryx2-plain": "#7f3300",
    "zenoh-shm": "#cc79a7", "dora-1.1.0": "#e69f00", "dora-1.1.0-plain": "#b8860b", "rclcpp": "#8b0000", "rclpy": "#6a3d9a",
}  # fmt: skip
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = 580, 300, 62, 28, 34
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1240px; padding: 0 1rem; color: #222; background: #fff }
h2 { margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem; font-size: 1.15rem }
table { border-collapse: collapse; font-size: 13px; margin: .6rem 0 } td, th { padding: .15rem .7rem .15rem 0; text-align: right; white-space: nowrap }
td:first-child, th:first-child { text-align: left } td[colspan] { white-space: normal } tr:nth-child(even) td { background: #f6f6f6 }
.plots { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0 } figcaption { font-size: 13px; color: #555 }
.key { font-size: 13px } .key span { margin-right: 1.2rem; white-space: nowrap } .key i { display: inline-block; width: 1.6em; height: .3em; margin-right: .4em; vertical-align: middle }
.met { color: #00662a } .missed { color: #a40000; font-weight: bold } dt { float: left; clear: left; width: 14rem; color: #555 } dd { margin-left: 14rem }
svg text { font: 11px system-ui, sans-serif; fill: #444 }
"""


class Log:
    """A logarithmic axis from `low` to `high`, on pixels from `start` to `end`."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low = math.floor(math.log10(low) * 3) / 3
        self.high = max(math.ceil(math.log10(high) * 3) / 3, self.low + 1 / 3)
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        """The pixel of a value; values outside lie on the edge."""
        share = (math.log10(max(value, 1e-12)) - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Powers of ten inside; when there are fewer than two, also their double and fivefold."""
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        inside = lambda v: self.low - 1e-9 <= math.log10(v) <= self.high + 1e-9
        tens = [10.0**d for d in decades if inside(10.0**d)]
        return tens if len(tens) > 1 else [m * 10.0**d for d in decades for m in (1, 2, 5) if inside(m * 10.0**d)]


def tail_points(ordered: Sequence[float]) -> list[tuple[float, float]]:
    """(time, share of samples that take at least that long), about forty per decade; the last one is the maximum."""
    n, points, rank = len(ordered), [], 0
    while rank < n:
        points.append((ordered[rank], (n - rank) / n))
        rank = max(rank + 1, n - int((n - rank) / 1.06))
    if points[-1][0] != ordered[-1]:
        points.append((ordered[-1], 1 / n))
    return points


def columns(samples: Sequence[float], width: int) -> list[tuple[int, float, float]]:
    """(column, least, greatest) of the samples that fall in each column of pixels."""
    n, found = len(samples), []
    for column in range(min(width, n)):
        part = samples[column * n // min(width, n) : (column + 1) * n // min(width, n)]
        found.append((column * width // min(width, n), min(part), max(part)))
    return found


def frame(x_ticks: list[tuple[float, str]], y_ticks: list[tuple[float, str]], inner: str) -> str:
    """An SVG with axes."""
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">']
    for x, text in x_ticks:
        parts.append(f'<path d="M{x:.1f} 8V{floor}" stroke="#e5e5e5"/><text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{text}</text>')
    for y, text in y_ticks:
        parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#e5e5e5"/><text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    parts.append(f'<path d="M{LEFT} 8V{floor}H{right}" fill="none" stroke="#888"/>{inner}</svg>')
    return "".join(parts)


def tail_plot(runs: dict[str, list[array]]) -> str:
    """How often a sample exceeds a time: all repetitions pooled."""
    pooled = {who: sorted(s for run in of_one for s in run) for who, of_one in runs.items()}
    x = Log(min(p[0] for p in pooled.values()), max(p[-1] for p in pooled.values()), LEFT, WIDTH - RIGHT)
    y = Log(1 / max(len(p) for p in pooled.values()), 1.0, HEIGHT - BOTTOM, 8)
    lines = []
    for who, ordered in pooled.items():
        path = " ".join(f"{x.at(t):.1f},{y.at(share):.1f}" for t, share in tail_points(ordered))
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour(who)}" stroke-width="1.6"><title>{tables.label(who)}</title></polyline>')
    shares = [(y.at(s), f"{s * 100:g} %") for s in y.ticks()]
    return frame([(x.at(t), tables.time(t)) for t in x.ticks()], shares, "".join(lines))


def strip_plot(runs: dict[str, list[array]]) -> str:
    """Every sample in the order it was measured, repetitions one after another."""
    joined = {}
    for who, of_one in runs.items():
        joined[who] = array("d")
        for run in of_one:
            joined[who].extend(run)
    y = Log(min(map(min, joined.values())), max(map(max, joined.values())), HEIGHT - BOTTOM, 8)
    marks = []
    for who, samples in joined.items():
        path = "".join(
            f"M{LEFT + c} {y.at(high):.1f}V{max(y.at(low), y.at(high) + 2):.1f}"
            for c, low, high in columns(samples, WIDTH - RIGHT - LEFT)
        )
        marks.append(f'<path d="{path}" stroke="{colour(who)}" stroke-width="1.5" opacity=".7" fill="none"><title>{tables.label(who)}</title></path>')
    return frame([(LEFT + 30, "first"), (WIDTH - 30, "last")], [(y.at(t), tables.time(t)) for t in y.ticks()], "".join(marks))


def colour(who: str) -> str:
    """The colour of a contestant."""
    return COLOURS.get(who, "#000000")


def table(of_cell: list[dict], stream: bool, budget_ns: float) -> str:
    """The rows of a cell."""
    head = tables.heads(stream, budget_ns)
    parts = ["<table><tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in head) + "</tr>"]
    for row in of_cell:
        texts = tables.cells_of(row, stream)
        cells = [f"<td>{html.escape(t)}</td>" for t in texts]
        if len(texts) < len(head):
            cells[-1] = f'<td colspan="{len(head) - len(texts) + 1}" style="text-align:left">{html.escape(texts[-1])}</td>'
        parts.append("<tr>" + "".join(cells) + "</tr>")
    return "".join(parts) + "</table>"


def section(cell: tuple, of_cell: list[dict], runs: dict[str, list[array]], budget_ns: float) -> str:
    """A cell: its table and its plots."""
    stream = cell[1] == "stream"
    parts = [f"<h2>{html.escape(tables.title(cell))}</h2>", table(of_cell, stream, budget_ns)]
    if runs:
        keys = "".join(f'<span><i style="background:{colour(w)}"></i>{html.escape(tables.label(w))}</span>' for w in runs)
        what = "time per message, mean over a batch" if stream else "time"
        parts.append(f'<p class="key">{keys}</p><div class="plots">')
        parts.append(f"<figure>{tail_plot(runs)}<figcaption>share of samples (up) whose {what} is at least (right)</figcaption></figure>")
        parts.append(f"<figure>{strip_plot(runs)}<figcaption>every sample ({what}), in the order measured</figcaption></figure></div>")
    return "".join(parts)


def cyclone_section(records: list[dict]) -> str:
    """What Cyclone DDS's own tool says."""
    if not records:
        return ""
    rows = ["<tr>" + "".join(f"<th>{h}</th>" for h in ("", "p50", "p90", "p99", "max", "messages/s")) + "</tr>"]
    for r in records:
        what = tables.title((r["load"], r["work"], r["wait"], r["size"], r["hz"]))
        texts = ["failed: " + r["error"]] if "error" in r else [*(tables.time(r.get(q)) for q in ("p50", "p90", "p99", "max")), tables.rate(r.get("msg/s"))]
        rows.append("<tr>" + "".join(f"<td>{html.escape(t)}</td>" for t in [what, *texts]) + "</tr>")
    note = "Another workload, not to be put beside the others: keyed messages over loopback UDP, timed by the sender as half a round trip, quantiles printed once a second."
    return f"<h2>Cyclone DDS, by its own tool ddsperf</h2><p>{note}</p><table>{''.join(rows)}</table>"


def page(rows: list[dict], samples: dict[tuple, dict[str, list[array]]], cyclone: list[dict], bars: list[dict], about: dict) -> str:
    """The whole page. `samples`: by cell, by contestant, one array per repetition."""
    facts = about["machine"] | {
        "measured under": about["class"],
        "repetitions": f"{about['repetitions']}, in alternating order",
        "time": about["time"],
    }
    facts |= {f"not measured: {name}": why for name, why in about["missing"].items()}
    facts |= {f"not measured: {n['not_measured']}": n["error"] for n in about.get("not_measured", [])}
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Benchmarks</title>',
        f"<style>{STYLE}</style><h1>Benchmarks</h1><dl>",
        *(f"<dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd>" for k, v in facts.items()),
        "</dl><p>All samples of all repetitions; none was removed. Ratios are medians of the ratios within each repetition.</p>",
    ]
    for verdict in bars:
        met = "met" if verdict["met"] else "missed"
        parts.append(f'<p class="{met}">{html.escape(verdict["bar"])}: {verdict["ratio"]:.2f}, {met}</p>')
    for cell, of_cell in tables.by_cell(rows).items():
        parts.append(section(cell, of_cell, samples.get(cell, {}), about["budget_ns"]))
    parts.append(cyclone_section(cyclone))
    return "".join(parts) + "</html>\n"


def samples_of(records: list[dict], folder_of: dict[int, Path]) -> dict[tuple, dict[str, list[array]]]:
    """All samples, by cell, contestant and repetition; contestants as they are listed everywhere."""
    found: dict[tuple, dict[str, list[array]]] = {}
    known = [r for r in records if "samples" in r]
    for r in sorted(known, key=lambda r: tables.ORDER.index(r["contestant"]) if r["contestant"] in tables.ORDER else 99):
        runs = found.setdefault(stats.cell_key(r), {}).setdefault(r["contestant"], [])
        runs.append(stats.read(folder_of[id(r)] / r["samples"]))
    return found
