"""Passes on what is at least `--least`, or what came last as `limit`."""

import argparse
import os

from dora import Node

parser = argparse.ArgumentParser()
parser.add_argument("--least", type=int, required=True)
least = parser.parse_args().least
print(f"{os.environ['PARAM_LABEL']}: at least {least}")

node = Node()
for event in node:
    if event["type"] == "INPUT" and event["id"] == "limit":
        least = event["value"][0].as_py()
    elif event["type"] == "INPUT":
        if event["value"][0].as_py() >= least:
            node.send_output("filtered", event["value"], event["metadata"])
    elif event["type"] == "STOP":
        break
