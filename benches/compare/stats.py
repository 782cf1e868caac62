"""Samples from files, and what they say. Nothing is left out."""

from __future__ import annotations

import array
import math
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))


def read(path: Path) -> array.array:
    """The samples of a run, nanoseconds: a file of little-endian doubles.

    Raises ValueError when the file is not that.
    """
    data = path.read_bytes()
    if len(data) % 8:
        raise ValueError(f"{path}: {len(data)} bytes are no whole number of samples")
    samples = array.array("d", data)
    if sys.byteorder == "big":
        samples.byteswap()
    if not all(math.isfinite(s) for s in samples):
        raise ValueError(f"{path}: holds something that is no time")
    return samples


def quantile(ordered: Sequence[float], q: float) -> float:
    """The smallest sample that at least this share of all samples does not exceed. `ordered` must be sorted."""
    if not ordered:
        raise ValueError("no samples")
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def summary(samples: Iterable[float], budget_ns: float) -> dict[str, float]:
    """Count, quantiles, extremes, and how many samples are above the budget."""
    ordered = sorted(samples)
    found: dict[str, float] = {"count": len(ordered), "min": ordered[0] if ordered else math.nan}
    if not ordered:
        raise ValueError("no samples")
    found.update({name: quantile(ordered, q) for name, q in QUANTILES})
    found["max"] = ordered[-1]
    found["over_budget"] = sum(1 for s in ordered if s > budget_ns)
    return found


def rows(records: list[dict], folder_of: dict[int, Path], budget_ns: float) -> list[dict]:
    """One row per cell and contestant: all repetitions pooled, and the median of each repetition's ratio to `rt`.

    `records` are lines of results.jsonl, `folder_of` says by `id()` of a record where its files lie.
    """
    grouped: dict[tuple, list[dict]] = {}
    for record in records:
        grouped.setdefault((cell_key(record), record["contestant"]), []).append(record)
    found = []
    for (cell, contestant), runs in grouped.items():
        good = [r for r in runs if "error" not in r]
        row = {"cell": cell, "contestant": contestant, "runs": len(runs), "failed": len(runs) - len(good)}
        row["errors"] = sorted({r["error"] for r in runs if "error" in r})
        if good:
            pooled = array.array("d")
            for run in good:
                pooled.extend(read(folder_of[id(run)] / run["samples"]))
            row["summary"] = summary(pooled, budget_ns)
            row["p99_range"] = (min(r["p99"] for r in good), max(r["p99"] for r in good))
            rates = [r["msg/s"] for r in good if "msg/s" in r]
            row["msg/s"] = statistics.median(rates) if rates else None
            ours = {r["repetition"]: r for r in grouped.get((cell, "rt"), []) if "error" not in r}
            row["ratio"] = ratio(ours, good)
        found.append(row)
    return found


def ratio(ours: dict[int, dict], theirs: list[dict]) -> dict[str, float]:
    """Median over the repetitions of our value through theirs: times below 1 and rates above 1 are good for us."""
    found = {}
    for metric in ("p50", "p99", "p99.9", "max", "msg/s"):
        pairs = [
            ours[r["repetition"]][metric] / r[metric]
            for r in theirs
            if r["repetition"] in ours and metric in r and metric in ours[r["repetition"]] and r[metric] > 0
        ]
        if pairs:
            found[metric] = statistics.median(pairs)
    return found


def cell_key(record: dict) -> tuple:
    """What makes records comparable, from a line of results.jsonl."""
    return (record["load"], record["work"], record["wait"], record["size"], record["hz"])


def bars(found: list[dict]) -> list[dict]:
    """The bars of the comparison that these rows can decide."""
    verdicts = []
    for row in found:
        load, work, wait, size, hz = row["cell"]
        against = row["contestant"]
        asked = against in ("dora-1.1.0", "dora-1.1.0-plain", "iceoryx2", "iceoryx2-plain")
        if (load, work, wait, size, hz) == ("stress", "paced", "park", 64, 1000) and asked and "ratio" in row:
            value = row["ratio"].get("p99")
            if value is not None:
                text = f"under stress, 1 kHz, 64 B, sleeping readers: p99 of the RT API at most 1/4 of {against}'s"
                verdicts.append({"bar": text, "ratio": value, "met": value <= 0.25})
    return verdicts
