"""What the figures were measured on, and how busy it was with other things."""

import os
import platform
import time
from pathlib import Path

#: Share of all cores that others may use before the figures are called those of a loaded machine.
QUIET = 0.1


def _read(path, otherwise="?"):
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return otherwise


def facts():
    """Facts about this machine, by name, in the order they are printed."""
    cpu = dict(
        (part.strip() for part in line.split(":", 1))
        for line in _read("/proc/cpuinfo", "").splitlines()
        if ":" in line
    )
    virtual = ", virtual" if "hypervisor" in cpu.get("flags", "").split() else ""
    return {
        "cpu": cpu.get("model name", platform.machine()),
        "cores": f"{os.cpu_count()}{virtual}",
        "kernel": f"{platform.release()} {platform.version()}",
        "clock source": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "idle driver": _read("/sys/devices/system/cpu/cpuidle/current_driver", "none visible"),
        "thp": _read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "python": platform.python_version(),
    }


def _jiffies():
    fields = [int(field) for field in _read("/proc/stat", "cpu 0 0 0 0 0").splitlines()[0].split()[1:]]
    # user, nice, system, idle, iowait, …
    return sum(fields), sum(fields[3:5])


def busy(seconds=0.5):
    """Share of all cores that was used just now. Called while nothing of the benchmark runs, it is what others use."""
    total, idle = _jiffies()
    time.sleep(seconds)
    total_later, idle_later = _jiffies()
    passed = total_later - total
    return 1 - (idle_later - idle) / passed if passed else 0.0


class Load:
    """Looks how busy the machine is before each run, and sums it up."""

    def __init__(self):
        self._busy = []
        self._load = []

    def look(self):
        """To be called between two runs; takes half a second. Gives what it saw."""
        seen = {"busy": round(busy(), 3), "loadavg": round(os.getloadavg()[0], 2)}
        self._busy.append(seen["busy"])
        self._load.append(seen["loadavg"])
        return seen

    def verdict(self):
        """One line about the whole run."""
        if not self._busy:
            return "nothing was run"
        worst, loud = max(self._busy), sum(share > QUIET for share in self._busy)
        load = f"load average {min(self._load)} to {max(self._load)} (the runs themselves are in it)"
        if not loud:
            return f"quiet machine: between the runs others used at most {worst:.0%} of it; {load}"
        return (
            f"LOADED MACHINE: before {loud} of {len(self._busy)} runs others used more than {QUIET:.0%} of it, up to "
            f"{worst:.0%}; {load}. Ratios count, absolute figures do not"
        )
