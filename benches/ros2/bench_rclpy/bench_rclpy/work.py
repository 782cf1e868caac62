"""The work of a node, without ROS: its words, its messages, its samples."""

from __future__ import annotations

import array
import dataclasses
import struct
from pathlib import Path

# Payloads up to this size are written and read whole, bytes.
WHOLE = 4096
# A stream's reader confirms every so many messages, and its sender is never more than this ahead.
CONFIRM, AHEAD = 25, 50
WARM_UP = 100


@dataclasses.dataclass(frozen=True)
class Job:
    """One run, as the words of the command line ask for it."""

    work: str
    role: str
    spin: bool
    size: int
    count: int
    batch: int
    period_ns: int
    samples: str

    @property
    def warm_up(self) -> int:
        """Messages before the first one that counts."""
        return min(WARM_UP, self.count // 10)

    @property
    def trips(self) -> int:
        """Round trips: whole batches."""
        return self.count // self.batch * self.batch


def job_from(words: list[str]) -> Job:
    """Reads the words.

    Raises ValueError naming the word that says nothing, or the one that is missing.
    """
    given = dict(w.split("=", 1) for w in words if "=" in w)

    def number(name: str, otherwise: int | None = None) -> int:
        text = given.get(name)
        if text is None:
            if otherwise is None:
                raise ValueError(f"{name}= is missing")
            return otherwise
        if not text.isdigit():
            raise ValueError(f"{name}={text} wants a number")
        return int(text)

    job = Job(
        work=given.get("work", ""),
        role=given.get("role", ""),
        spin=given.get("wait") == "spin",
        size=number("size"),
        count=number("count"),
        batch=number("batch", 1),
        period_ns=1_000_000_000 // max(number("hz", 1000), 1),
        samples=given.get("samples", ""),
    )
    if job.work not in ("paced", "round-trip", "stream"):
        raise ValueError(f"work={job.work} is none of paced, round-trip, stream")
    if job.role not in ("first", "second"):
        raise ValueError(f"role={job.role} is none of first, second")
    if job.size < 8 or job.size % 8:
        raise ValueError(f"size={job.size} wants a multiple of 8")
    if job.batch < 1 or job.count // job.batch < 2:
        raise ValueError(f"count={job.count} makes fewer than two samples")
    if job.role == "second" and not job.samples:
        raise ValueError("samples= is missing")
    return job


def message(size: int, first: int, number: int) -> array.array:
    """`first`, and `number` in the rest; of a large message only first and last word are written."""
    word = struct.pack("=Q", number)
    if size <= WHOLE:
        data = bytearray(word * (size // 8))
    else:
        data = bytearray(size)
        data[-8:] = word
    data[:8] = struct.pack("=Q", first)
    return array.array("B", bytes(data))


def first_word(data: bytes | array.array, size: int, number: int) -> int:
    """The first word of a message that is `number`, and whole.

    Raises ValueError when it is another one.
    """
    if len(data) != size:
        raise ValueError(f"a message of {len(data)} bytes came instead of {size}")
    view = memoryview(data).cast("B")
    rest = view[8:] if size <= WHOLE else view[-8:]
    if bytes(rest) != struct.pack("=Q", number) * (len(rest) // 8):
        raise ValueError(f"message {number} is not what was sent")
    return struct.unpack_from("=Q", view)[0]


def save(path: str, samples: array.array) -> None:
    """Writes samples: nanoseconds, doubles, little-endian."""
    Path(path).write_bytes(struct.pack(f"<{len(samples)}d", *samples))
