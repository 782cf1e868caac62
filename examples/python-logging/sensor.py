"""Sends a temperature that rises from 20 to 69 degrees."""

import logging

import pyarrow as pa
from dora import Node


def main():
    node = Node()
    logging.getLogger().setLevel(logging.DEBUG)
    temperature = 20
    for event in node:
        if event["type"] == "INPUT":
            logging.debug("raw value %d", temperature * 10)
            logging.info("temperature is %d", temperature)
            node.send_output("temperature", pa.array([temperature]))
            temperature += 1
            if temperature == 70:
                break
        elif event["type"] == "STOP":
            break


main()
