"""The sides of a figure beside each other.

Ratios are taken within a repetition, where both sides met the same noise, and the median of them counts.
"""

import statistics


class Row:
    """One metric of one figure, over all repetitions."""

    def __init__(self, figure, metric, ours, reference):
        self.figure, self.metric = figure, metric
        self.ours = [value * metric.scale for value in ours]
        self.reference = [value * metric.scale for value in reference]

    @property
    def ratio(self):
        """Ours / reference; `None` without a reference, or when it is zero."""
        pairs = [ours / theirs for ours, theirs in zip(self.ours, self.reference) if theirs]
        return statistics.median(pairs) if pairs else None

    @property
    def met(self):
        """Is the bar met? `None` when there is none, or nothing to compare with."""
        return self.metric.bar.met(self.ratio, self.ours) if self.metric.bar else None

    def as_json(self):
        """For a line of JSON."""
        return {
            "figure": self.figure.name,
            "metric": self.metric.key,
            "unit": self.metric.unit,
            "ours": self.ours,
            "reference": self.reference,
            "ratio": self.ratio,
            "bar": str(self.metric.bar) if self.metric.bar else None,
            "met": self.met,
        }

    def cells(self):
        """For a row of the table."""
        bar = "" if self.metric.bar is None else str(self.metric.bar)
        verdict = {None: "", True: " met", False: " **missed**"}[self.met]
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        name = f"{self.figure.title}: {self.metric.label}, {self.metric.unit}"
        return [name, spread(self.ours), spread(self.reference), ratio, bar + verdict]


def short(value):
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values):
    """Median, and in brackets the smallest and largest."""
    if not values:
        return ""
    middle = short(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} [{short(min(values))}–{short(max(values))}]"


def markdown(head, rows):
    """A table that a person can read as it is."""
    rows = [head, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "|".join("-" * (width + 2) for width in widths)[1:-1])
    return "\n".join(f"| {line} |" if n != 1 else f"|-{line}-|" for n, line in enumerate(lines))


HEAD = ["figure: median [smallest–largest]", "ours", "reference", "ratio", "bar"]
