"""From folders of results to one table and one page."""

from __future__ import annotations

import json
from pathlib import Path

import page
import plan
import stats
import tables


def load(folder: Path) -> tuple[dict, list[dict]]:
    """What was said about a run, and its records.

    Raises ValueError when the folder holds no results.
    """
    path = folder / "results.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except OSError as e:
        raise ValueError(f"{path}: {e.strerror}") from e
    except ValueError as e:
        raise ValueError(f"{path}: is no file of JSON lines: {e}") from e
    if not lines or "machine" not in lines[0]:
        raise ValueError(f"{path}: does not begin with a description of the machine")
    about = dict(lines[0])
    about["not_measured"] = [r for r in lines[1:] if "not_measured" in r]
    return about, [r for r in lines[1:] if "contestant" in r]


def merge(folders: list[Path]) -> tuple[dict, list[dict], dict[int, Path]]:
    """The records of several folders, with the folder of each; the first one's machine counts.

    Raises ValueError when they come from different machines: such figures do not belong in one table.
    """
    about, records, folder_of = None, [], {}
    for folder in folders:
        said, found = load(folder)
        if about is None:
            about = said
        elif (said["machine"]["cpu"], said["machine"]["kernel"]) != (about["machine"]["cpu"], about["machine"]["kernel"]):
            raise ValueError(f"{folder} was measured on another machine or kernel than {folders[0]}")
        else:
            about["missing"] = about["missing"] | said["missing"]
            about["not_measured"] += said["not_measured"]
        records += found
        folder_of |= {id(r): folder for r in found}
    return about, records, folder_of


def write(folders: list[Path], out: Path) -> list[dict]:
    """Writes table.md and page.html; the bars.

    Raises ValueError when results or samples are not what they should be.
    """
    about, records, folder_of = merge(folders)
    cyclone = [r for r in records if r["contestant"] == plan.CYCLONE]
    others = [r for r in records if r["contestant"] != plan.CYCLONE]
    rows = stats.rows(others, folder_of, about["budget_ns"])
    bars = stats.bars(rows)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(tables.markdown(rows, cyclone, bars, about))
    samples = page.samples_of(others, folder_of)
    (out / "page.html").write_text(page.page(rows, samples, cyclone, bars, about))
    return bars
