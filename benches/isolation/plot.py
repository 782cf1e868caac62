"""A page with a picture: every run a dot, without the load and with it, one strip per metric. Nothing but text is needed."""

import html

WIDTH, STRIP, LEFT, RIGHT = 900, 46, 270, 90
COLOURS = {"off": "#2b6cb0", "on": "#c05621"}


def _dots(values, largest, y, colour):
    scale = (WIDTH - LEFT - RIGHT) / largest if largest else 0
    return "".join(
        f'<circle cx="{LEFT + value * scale:.1f}" cy="{y}" r="4" fill="{colour}" fill-opacity="0.6">'
        f"<title>{value:g}</title></circle>"
        for value in values
    )


def _strip(metric, off, on, top):
    without, with_load = ([sample[metric.key] for sample in samples] for samples in (off, on))
    largest = max(*without, *with_load)
    label = f'<text x="{LEFT - 10}" y="{top + 24}" text-anchor="end">{html.escape(metric.label)}</text>'
    end = f'<text x="{WIDTH - RIGHT + 10}" y="{top + 24}">{largest:g}</text>'
    line = f'<line x1="{LEFT}" y1="{top + 40}" x2="{WIDTH - RIGHT}" y2="{top + 40}" stroke="#ccc"/>'
    dots = _dots(without, largest, top + 12, COLOURS["off"]) + _dots(with_load, largest, top + 28, COLOURS["on"])
    return label + end + line + dots


def page(title, about, drawn, metrics):
    """`drawn`: load, runs without, runs with, what the load did. Each strip goes from 0 to its largest value."""
    parts = [
        f'<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title>',
        "<style>body{font:14px sans-serif;margin:2em}svg text{font:12px sans-serif}</style>",
        f"<h1>{html.escape(title)}</h1><p>{'<br>'.join(html.escape(line) for line in about)}</p>",
        f'<p>every run a dot: <b style="color:{COLOURS["off"]}">without</b>, <b style="color:{COLOURS["on"]}">with</b></p>',
    ]
    for load, off, on, did in drawn:
        strips = "".join(_strip(metric, off, on, n * STRIP) for n, metric in enumerate(metrics))
        parts.append(f"<h2>{html.escape(load.name)}</h2><p>{html.escape(did)}</p>")
        parts.append(f'<svg width="{WIDTH}" height="{len(metrics) * STRIP}">{strips}</svg>')
    return "\n".join(parts) + "\n"
