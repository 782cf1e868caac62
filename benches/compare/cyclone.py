"""Cyclone DDS by its own tool, `ddsperf`: another workload, shown apart.

Its pings carry 12 bytes or more with a keyed header, travel over loopback UDP (the Debian package has no shared memory), and are
timed by the sender: half of a round trip. It prints quantiles once a second instead of samples, so there are no p99.9 and no
raw samples; its output is kept as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

# Loopback only; peers are found by unicast.
URI = (
    "<CycloneDDS><Domain><General>"
    '<Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces><AllowMulticast>false</AllowMulticast>'
    '</General><Discovery><Peers><Peer address="127.0.0.1"/></Peers><ParticipantIndex>auto</ParticipantIndex></Discovery>'
    "</Domain></CycloneDDS>"
)
UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
TIME = r"([\d.]+)(ns|us|ms|s)"
PING = re.compile(
    rf"size (\d+) mean {TIME} min {TIME} 50% {TIME} 90% {TIME} 99% {TIME} max {TIME} cnt (\d+)"
)
SUB = re.compile(r"size (\d+) .*?rate ([\d.]+) ?(k?)S/s")


def nanoseconds(value: str, unit: str) -> float:
    """`25.7`, `us` in nanoseconds."""
    return float(value) * UNITS[unit]


def pings(text: str) -> list[dict[str, float]]:
    """What each second of `ddsperf ping` says; the first, in which the peers find each other, is left to the caller."""
    found = []
    for m in PING.finditer(text):
        g = m.groups()
        times = [nanoseconds(g[i], g[i + 1]) for i in range(1, 13, 2)]
        found.append(dict(zip(("mean", "min", "p50", "p90", "p99", "max"), times)) | {"count": int(g[13])})
    return found


def rates(text: str) -> list[float]:
    """Messages per second that each second of `ddsperf sub` says."""
    return [float(m[2]) * (1000 if m[3] else 1) for m in SUB.finditer(text)]


def summary(seconds: list[dict[str, float]]) -> dict[str, float]:
    """Medians of the seconds' quantiles, the extremes of all, without the first second."""
    counted = seconds[1:]
    if not counted:
        raise ValueError("ddsperf measured less than two seconds")
    return {
        "count": sum(s["count"] for s in counted),
        "min": min(s["min"] for s in counted),
        **{name: statistics.median(s[name] for s in counted) for name in ("p50", "p90", "p99")},
        "max": max(s["max"] for s in counted),
    }


def run(work: str, size: int, hz: int, rt: bool, raw: Path, seconds: int = 5) -> dict[str, float]:
    """One run of `ddsperf`; its output goes to `raw`.

    Raises RuntimeError when there is no ddsperf, or when it measured nothing.
    """
    if shutil.which("ddsperf") is None:
        raise RuntimeError("ddsperf is not installed (Debian: apt install cyclonedds-tools)")
    place = (lambda core: ["taskset", "-c", str(core)] + (["chrt", "--fifo", "60"] if rt else []))
    sender, reader = {
        "paced": (["ping", f"{hz}Hz", "size", str(size)], ["pong"]),
        "round-trip": (["ping", "size", str(size)], ["pong"]),
        "stream": (["pub", "size", str(size)], ["sub"]),
    }[work]
    environment = os.environ | {"CYCLONEDDS_URI": URI}
    command = lambda core, words, more: [*place(core), "ddsperf", "-D", str(seconds + more), *words]
    with raw.open("w") as output:
        other = subprocess.Popen(
            command(0, reader, 2),
            env=environment,
            stdout=output if work == "stream" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        time.sleep(0.5)
        try:
            subprocess.run(
                command(1, sender, 0),
                env=environment,
                stdout=subprocess.DEVNULL if work == "stream" else output,
                stderr=subprocess.STDOUT,
                timeout=seconds + 30,
                check=False,
            )
        finally:
            try:
                other.wait(timeout=10)
            except subprocess.TimeoutExpired:
                other.kill()
                other.wait()
    text = raw.read_text()
    if work == "stream":
        found = rates(text)
        if len(found) < 2:
            raise RuntimeError(f"ddsperf received nothing: see {raw}")
        return {"msg/s": statistics.median(found[1:])}
    try:
        return summary(pings(text))
    except ValueError as e:
        raise RuntimeError(f"{e}: see {raw}") from e
