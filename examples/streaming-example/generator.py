"""Answers with one word per 50 ms, like a language model; a new prompt interrupts the answer.

The keys in the metadata are those of dora's streaming pattern: every chunk carries `session_id`, `segment_id`, `seq`
and `fin`, and the first chunk after an interruption carries `flush`, which empties the queues behind it.
"""

import time

import pyarrow as pa
from dora import Node

SECONDS_PER_WORD = 0.05


def answer(prompt):
    """The words of the answer."""
    last = int(prompt.split()[-1])
    return [str(i) for i in range(1, last + 1)]


def main():
    node = Node()
    words = []  # what is still to be said
    segment, seq, flush = -1, 0, False
    while True:
        # Between two words only a look; without anything to say it can wait.
        event = node.try_recv() if words else node.next()
        if event is None:
            if not words:
                break  # no more prompts will come
            word = words.pop(0)
            fin = not words
            metadata = {"session_id": "demo", "segment_id": segment, "seq": seq, "fin": fin, "flush": flush}
            node.send_output("chunk", pa.array([word]), metadata)
            seq, flush = seq + 1, False
            time.sleep(SECONDS_PER_WORD)
        elif event["type"] == "INPUT":
            flush = bool(words)  # what is left of the answer before is void
            words = answer(event["value"][0].as_py())
            segment, seq = segment + 1, 0
        elif event["type"] == "STOP" and event["id"] == "MANUAL":
            break


main()
