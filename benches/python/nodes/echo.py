"""Sends back what comes."""

import common

common.core()
from dora import Node  # noqa: E402


def main():
    node = Node()
    for event in node:
        if event["type"] == "INPUT":
            node.send_output("data", event["value"])
        elif event["type"] in ("INPUT_CLOSED", "STOP"):
            break


main()
