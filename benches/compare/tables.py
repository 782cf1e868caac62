"""Markdown: the table of a comparison."""

from __future__ import annotations

from plan import CONTESTANTS, Cell

LABELS = {c.name: c.label for c in CONTESTANTS} | {
    "rclcpp": "ROS 2, rclcpp",
    "rclpy": "ROS 2, rclpy",
    "cyclonedds": "Cyclone DDS, ddsperf",
}
ORDER = list(LABELS)


def label(contestant: str) -> str:
    """What people read."""
    return LABELS.get(contestant, contestant)


def time(ns: float | None) -> str:
    """A time with three digits and its unit."""
    if ns is None:
        return ""
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= factor:
            return f"{ns / factor:.3g} {unit}" if ns / factor < 1000 else f"{ns / factor:.0f} {unit}"
    return f"{ns:.3g} ns"


def rate(per_second: float | None) -> str:
    """Messages per second with three digits."""
    if per_second is None:
        return ""
    for unit, factor in ((" M", 1e6), (" k", 1e3)):
        if per_second >= factor:
            return f"{per_second / factor:.3g}{unit}"
    return f"{per_second:.3g}"


def title(cell: tuple) -> str:
    """What a cell is, for people."""
    load, work, wait, size, hz = cell
    return Cell(load, work, wait, size, hz).title()


def in_order(rows: list[dict]) -> list[dict]:
    """The rows of a cell as the contestants are listed."""
    return sorted(rows, key=lambda r: ORDER.index(r["contestant"]) if r["contestant"] in ORDER else len(ORDER))


def by_cell(rows: list[dict]) -> dict[tuple, list[dict]]:
    """Rows of each cell, cells in the order they were measured."""
    found: dict[tuple, list[dict]] = {}
    for row in rows:
        found.setdefault(row["cell"], []).append(row)
    return {cell: in_order(of_cell) for cell, of_cell in found.items()}


def cells_of(row: dict, stream: bool) -> list[str]:
    """The columns of one row."""
    if "summary" not in row:
        return [label(row["contestant"]), "failed: " + "; ".join(row["errors"]).replace("|", "/")]
    s, ratio = row["summary"], row.get("ratio", {})
    name = label(row["contestant"]) + (f" ({row['failed']} of {row['runs']} runs failed)" if row["failed"] else "")
    if stream:
        return [name, rate(row["msg/s"]), f"{ratio['msg/s']:.2f}" if "msg/s" in ratio else "", str(int(s["count"]))]
    shown = [time(s[q]) for q in ("p50", "p90", "p99", "p99.9", "max")]
    low, high = row["p99_range"]
    return [
        name, *shown, str(int(s["over_budget"])), str(int(s["count"])), f"{time(low)} … {time(high)}",
        f"{ratio['p99']:.2f}" if "p99" in ratio else "",
    ]  # fmt: skip


def heads(stream: bool, budget_ns: float) -> list[str]:
    """The heads of the columns."""
    if stream:
        return ["", "messages/s", "ours, RT API / this", "samples"]
    return ["", "p50", "p90", "p99", "p99.9", "max", f"over {time(budget_ns)}", "samples", "p99 of the runs", "p99: RT API / this"]


def markdown(rows: list[dict], cyclone: list[dict], bars: list[dict], about: dict) -> str:
    """The whole table as Markdown."""
    lines = ["# Comparison", ""]
    lines += [f"- {name}: {value}" for name, value in about["machine"].items()]
    lines += [f"- measured under: {about['class']}; repetitions: {about['repetitions']}, in alternating order; {about['time']}"]
    lines += [f"- not measured: {program}: {why}" for program, why in about["missing"].items()]
    lines += [f"- not measured: load {n['not_measured']}: {n['error']}" for n in about.get("not_measured", [])]
    lines += ["", "All samples of all repetitions, none removed. Ratios are medians of the ratios within each repetition.", ""]
    for verdict in bars:
        met = "met" if verdict["met"] else "**missed**"
        lines.append(f"- {verdict['bar']}: {verdict['ratio']:.2f}, {met}")
    for cell, of_cell in by_cell(rows).items():
        stream = cell[1] == "stream"
        head = heads(stream, about["budget_ns"])
        lines += ["", f"## {title(cell)}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for row in of_cell:
            texts = cells_of(row, stream)
            lines.append("| " + " | ".join(texts + [""] * (len(head) - len(texts))) + " |")
    if cyclone:
        lines += ["", "## Cyclone DDS, measured by its own ddsperf: another workload", ""]
        lines += ["Keyed messages over loopback UDP, timed by the sender as half a round trip; medians of the quantiles that it prints each second. Not to be put beside the rows above.", ""]
        head = ["", "p50", "p90", "p99", "max", "messages/s", "samples"]
        lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for r in cyclone:
            what = title((r["load"], r["work"], r["wait"], r["size"], r["hz"]))
            if "error" in r:
                texts = [what, "failed: " + r["error"].replace("|", "/"), "", "", "", "", ""]
            else:
                texts = [what, *(time(r.get(q)) for q in ("p50", "p90", "p99", "max")), rate(r.get("msg/s")), str(int(r.get("count", 0)) or "")]
            lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"
