"""What is measured: each figure runs one dataflow in one environment and gives its metrics and its raw samples."""

import math

from . import flow


class Bar:
    """What must hold: of the ratio ours / reference, or of our value itself."""

    def __init__(self, kind, limit):
        self.kind, self.limit = kind, limit

    def __str__(self):
        return {
            "at most": f"ratio ≤ {self.limit}",
            "at least": f"ratio ≥ {self.limit}",
            "value": f"ours ≤ {self.limit}",
        }[self.kind]

    def met(self, ratio, values):
        """`None` when there is nothing to compare with."""
        if self.kind == "value":
            return max(values) <= self.limit
        if ratio is None:
            return None
        return ratio <= self.limit if self.kind == "at most" else ratio >= self.limit


class Metric:
    """One number of a figure. `scale` is from what the run gives to `unit`."""

    def __init__(self, key, label, unit, bar=None, scale=1.0):
        self.key, self.label, self.unit, self.bar, self.scale = key, label, unit, bar, scale


class Run:
    """What one run measured."""

    def __init__(self, metrics, samples=(), remark=None):
        #: By key, unscaled.
        self.metrics = metrics
        #: Raw samples in nanoseconds, in the order they were taken.
        self.samples = list(samples)
        #: What must be said beside the numbers.
        self.remark = remark


def percentile(values, share):
    """The smallest value that is not below `share` of all."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share / 100) - 1, 0)]


def _latencies(samples, warm_up, remark=None):
    counted = samples[warm_up:]
    shares = {"p50": 50, "p99": 99, "p99.9": 99.9}
    metrics = {key: percentile(counted, share) for key, share in shares.items()}
    return Run({**metrics, "max": max(counted)}, samples, remark)


def _lost(sent, received):
    return f"lost {sent - received} of {sent} messages" if received != sent else None


class Plan:
    """How much is done, and where the two nodes run."""

    def __init__(self, part=1, cores=(None, None)):
        self._part = part
        self.cores = cores

    def count(self, full):
        """So many of a full run's messages: one in `part`."""
        return max(full // self._part, 100)

    def place(self, which):
        """The setting that keeps the first (0) or second (1) node on its core."""
        return {} if self.cores[which] is None else {"core": self.cores[which]}


class Figure:
    """A figure: its name, what it says, and the run of one side."""

    def __init__(self, name, title, metrics, run):
        self.name, self.title, self.metrics, self.run = name, title, metrics, run


def _paced(size, full):
    def run(environment, plan):
        count = plan.count(full)
        with flow.Folder(environment) as folder:
            settings = {"count": count, "period_ns": 1_000_000, "size": size}
            sender = {**settings, **plan.place(0)}
            folder.run([
                flow.node("sender", "paced_sender.py", None, ["data"], sender, folder.path),
                flow.node("receiver", "paced_receiver.py", {"data": "sender/data"}, (), plan.place(1), folder.path),
            ])
            received = folder.result("receiver")
            late = folder.result("sender")["late"]
        remarks = [_lost(count, received["received"]), f"the sender missed {late} periods" if late else None]
        remark = "; ".join(text for text in remarks if text) or None
        return _latencies(received["latencies"], count // 10, remark)

    return run


def _round_trip(environment, plan):
    count = plan.count(20_000)
    with flow.Folder(environment) as folder:
        ping = {"count": count, "size": 64, **plan.place(0)}
        folder.run([
            flow.node("ping", "ping.py", {"data": "echo/data"}, ["data"], ping, folder.path),
            flow.node("echo", "echo.py", {"data": "ping/data"}, ["data"], plan.place(1)),
        ])
        return _latencies(folder.result("ping")["latencies"], count // 10)


def _streamed(environment, plan, count, size, queue_size, pause_ms=0):
    with flow.Folder(environment) as folder:
        settings = {"count": count, "size": size, "warm_up": count // 10, "pause_ms": pause_ms, "linger_ms": 1000}
        data = {"source": "sender/data", "queue_policy": "backpressure", "queue_size": queue_size}
        folder.run([
            flow.node("sender", "stream_sender.py", None, ["data"], {**settings, **plan.place(0)}, folder.path),
            flow.node("receiver", "stream_receiver.py", {"data": data}, (), {**settings, **plan.place(1)}, folder.path),
        ])
        return folder.result("sender"), folder.result("receiver")


def _rate(full, queue_size=None):
    """Without a queue size there is room for all messages: the reference never holds a sender back, it drops at ten
    times the queue size."""

    def run(environment, plan):
        count = plan.count(full)
        sender, receiver = _streamed(environment, plan, count, 64, queue_size or count // 10)
        # From before the first send until the last one is there.
        metrics = {
            "rate": receiver["received"] * 1e9 / (receiver["last"] - sender["start"]),
            "lost": sender["sent"] - receiver["received"],
        }
        remark = _lost(sender["sent"], receiver["received"])
        return Run(metrics, remark=remark and f"{remark}, {receiver['gaps']} of them not at the end")

    return run


def _memory(environment, plan):
    count = plan.count(10_000)
    sender, receiver = _streamed(environment, plan, count, 1_000_000, queue_size=10, pause_ms=500)
    metrics = {}
    for name, node in (("sender", sender), ("receiver", receiver)):
        if node["warm"] is None:
            raise flow.Failed(f"{environment.name}: the {name} did not get beyond the warm-up")
        metrics[name] = node["end"]["VmRSS"] - node["warm"]["VmRSS"]
        metrics[f"{name} at the end"] = node["end"]["VmRSS"]
    return Run(metrics, remark=_lost(sender["sent"], receiver["received"]))


def _start(environment, plan):
    del plan
    return Run({"seconds": flow.seconds_to_first_message(environment)})


HALF, FIVE_TIMES = Bar("at most", 0.5), Bar("at least", 5)
#: kB. A page table or two; 9,000 messages of 1 MB are 9 million kB.
NOTHING = Bar("value", 1024)
MICROSECONDS = 1e-3


def _percentiles(bar):
    return [
        Metric("p50", "p50", "µs", bar, MICROSECONDS),
        Metric("p99", "p99", "µs", None, MICROSECONDS),
        Metric("p99.9", "p99.9", "µs", None, MICROSECONDS),
        Metric("max", "max", "µs", None, MICROSECONDS),
    ]


#: What was received counts, and what was lost is said: a rate at which messages vanish is none.
RATES = [
    Metric("rate", "received", "messages/s", FIVE_TIMES),
    Metric("lost", "lost", "messages", Bar("value", 0)),
]

FIGURES = [
    Figure("paced-64B", "1 kHz, 64 B, one way", _percentiles(HALF), _paced(64, 5_000)),
    Figure("paced-1MB", "1 kHz, 1 MB, one way", _percentiles(HALF), _paced(1_000_000, 5_000)),
    Figure("round-trip", "back to back, 64 B, round trip / 2", _percentiles(HALF), _round_trip),
    Figure("rate", "64 B, backpressure, room for all", RATES, _rate(100_000)),
    Figure("rate-full", "64 B, backpressure, queue of 100", RATES, _rate(100_000, 100)),
    Figure("start", "`dora run` to first message", [Metric("seconds", "time", "ms", HALF, 1e3)], _start),
    Figure(
        "memory",
        "10,000 × 1 MB, backpressure",
        [
            Metric("sender", "growth of the sender", "kB", NOTHING),
            Metric("receiver", "growth of the receiver", "kB", NOTHING),
            Metric("sender at the end", "sender at the end", "kB"),
            Metric("receiver at the end", "receiver at the end", "kB"),
        ],
        _memory,
    ),
]
