"""Writes `dataflow.yml` with the builder, and runs it."""

from pathlib import Path

import dora
from dora.builder import DataflowBuilder

FOLDER = Path(__file__).resolve().parent


def make():
    """Counters of different speed, as many as one likes, and one node that adds up."""
    flow = DataflowBuilder("counters")
    total = flow.add_node("total").path("total.py")
    for name, milliseconds in [("slow", 40), ("fast", 20)]:
        counter = flow.add_node(name, description=f"counts every {milliseconds} ms").path("counter.py")
        counter.env({"COUNT": 10}).add_input("tick", f"dora/timer/millis/{milliseconds}")
        total.add_input(name, counter.add_output("count"), queue_size=10, queue_policy="backpressure")
    return flow


if __name__ == "__main__":
    descriptor = FOLDER / "dataflow.yml"
    make().to_yaml(str(descriptor))
    dora.run(str(descriptor))
