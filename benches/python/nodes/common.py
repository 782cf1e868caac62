"""What the nodes of the benchmark share: their settings, their memory, the place for what they measured.

Only names that every `dora` module has are used: the same files run under this one and under the reference.
"""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa

#: Bytes of one number in a message.
WORD = 8


def number(name):
    """A setting from the descriptor."""
    return int(os.environ[name])


def core():
    """Stays on the core that the descriptor names, if it names one. Before anything starts threads."""
    chosen = os.environ.get("BENCH_CORE", "")
    if chosen:
        os.sched_setaffinity(0, {int(chosen)})


class Message:
    """Values of which the first two change: a stamp, and a count.

    The array over them is made once, because making one costs pyarrow as much as sending it costs dora. `send_output` has
    copied the values when it returns; the counts that arrive would be wrong if it had not.
    """

    def __init__(self, size):
        self._values = np.zeros(max(size // WORD, 2), np.uint64)
        self._array = pa.array(self._values)

    def array(self, stamp, count):
        """The array, with these values."""
        self._values[0] = stamp
        self._values[1] = count
        return self._array


def memory():
    """Memory of this process in kB, by kind: `VmRSS` is the sum of the others."""
    wanted = ("VmRSS:", "RssAnon:", "RssFile:", "RssShmem:")
    lines = (line.split() for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words and words[0] in wanted}


def write(result):
    """Leaves what was measured where the benchmark looks for it."""
    path = Path(os.environ["BENCH_RESULT"])
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(result), encoding="ascii")
    unfinished.rename(path)
