"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def one(path: str) -> str | None:
    """A file's text, if there is such a file."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def field(text: str, name: str) -> str | None:
    """A line `name : value` of /proc/cpuinfo."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def says(*command: str) -> str | None:
    """The first line that a program prints, if there is such a program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.strip().splitlines() or [None])[0]


def facts() -> dict[str, str]:
    """Facts about this machine, by name."""
    cpu = one("/proc/cpuinfo") or ""
    virtual = "hypervisor" in (field(cpu, "flags") or "").split()
    found = {
        "cpu": field(cpu, "model name") or platform.machine(),
        "cores": f"{os.cpu_count()}{', virtual' if virtual else ''}",
        "kernel": f"{platform.release()} {platform.version()}",
        "governor": one("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "none visible",
        "idle driver": one("/sys/devices/system/cpu/cpuidle/current_driver") or "none visible",
        "preempt_rt": one("/sys/kernel/realtime") or "0",
        "clock source": one("/sys/devices/system/clocksource/clocksource0/current_clocksource") or "?",
        "transparent huge pages": one("/sys/kernel/mm/transparent_hugepage/enabled") or "?",
        "real-time throttling": f"{one('/proc/sys/kernel/sched_rt_runtime_us')} of {one('/proc/sys/kernel/sched_rt_period_us')} us",
        "load before": one("/proc/loadavg") or "?",
        "memory": next(iter((one("/proc/meminfo") or "?").splitlines())),
        "python": platform.python_version(),
    }
    for name, command in {
        "stress-ng": ("stress-ng", "--version"),
        "cyclonedds": ("dpkg-query", "-W", "-f", "${Version}\n", "cyclonedds-tools"),
        "ros": ("printenv", "ROS_DISTRO"),
    }.items():
        said = says(*command)
        if said:
            found[name] = said
    return found
