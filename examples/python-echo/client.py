"""Sends values of many types, one after the other, and compares what comes back."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
from dora import Node

VALUES = {
    "integers": pa.array([1, 2, 3]),
    "floats": pa.array(np.linspace(0.0, 1.0, 5, dtype=np.float32)),
    "booleans": pa.array([True, False, True]),
    "texts": pa.array(["hello", "", "größer"]),
    "bytes": pa.array([b"\x00\xff", b""]),
    "missing values": pa.array([1.5, None, 2.5]),
    "a slice": pa.array(range(100))[40:43],
    "lists": pa.array([[1, 2], [], [3]]),
    "structs": pa.array([{"x": 1, "name": "a"}, {"x": 2, "name": None}]),
    "a dictionary": pa.array(["red", "green", "red"]).dictionary_encode(),
    "points in time": pa.array([datetime.datetime(2024, 2, 29, 12, 30)]),
    "decimals": pa.array([decimal.Decimal("1.10")]),
    "nothing": pa.array([], type=pa.int64()),
    "a megabyte": pa.array(np.arange(1 << 20).astype(np.uint8)),
}


def answer(node):
    """The next input; `None` when the stream has ended."""
    for event in node:
        if event["type"] == "INPUT":
            return event
    return None


def main():
    node = Node()
    for number, (name, value) in enumerate(VALUES.items()):
        node.send_output("value", value, {"number": number, "name": name})
        event = answer(node)
        assert event is not None, f"no answer to {name}"
        assert event["metadata"]["number"] == number and event["metadata"]["name"] == name
        assert event["value"].type == value.type, f"{name}: {event['value'].type} instead of {value.type}"
        assert event["value"].equals(value), f"{name}: {event['value']} instead of {value}"
        print(f"{name}: {value.type} came back as it was")
    print(f"{len(VALUES)} values came back")


main()
