"""A tool that says what it is told."""

import json

import pyarrow as pa
from dora import Node


def main():
    node = Node()
    for event in node:
        if event["type"] == "INPUT":
            request = json.loads(event["value"][0].as_py())
            # Requests reach all tools; this one is for another.
            if request["tool"] == "echo":
                # With the metadata of the request goes its `request_id`.
                node.send_service_response("response", pa.array([request["argument"]]), event["metadata"])
        elif event["type"] == "STOP":
            break


main()
