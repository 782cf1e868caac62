"""Warns when the temperature crosses 50 degrees, and says it is an error at 65."""

import logging

from dora import Node

node = Node()
for event in node:
    if event["type"] == "INPUT":
        temperature = event["value"][0].as_py()
        if temperature == 50:
            logging.warning("getting warm: %d degrees", temperature)
        elif temperature == 65:
            logging.error("too hot: %d degrees", temperature)
    elif event["type"] == "STOP":
        break
