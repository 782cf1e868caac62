"""Asks a question every two seconds, three in all."""

import pyarrow as pa
from dora import Node

# The second wants an answer that takes ten seconds, and is not waited for.
PROMPTS = ["count to 5", "count to 200", "count to 3"]


def main():
    node = Node()
    prompts = iter(PROMPTS)
    prompt = next(prompts)
    for event in node:
        if event["type"] == "INPUT":
            print(f"asks: {prompt}")
            node.send_output("prompt", pa.array([prompt]))
            prompt = next(prompts, None)
            if prompt is None:
                break
        elif event["type"] == "STOP":
            break


main()
