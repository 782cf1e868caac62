"""Nodes of dora dataflows in Python.

A node joins the dataflow that started it, takes events, and sends outputs::

    import pyarrow as pa
    from dora import Node

    node = Node()
    for event in node:
        if event["type"] == "INPUT":
            node.send_output("answer", pa.array([len(event["value"])]), event["metadata"])

Values are pyarrow arrays that lie in shared memory where the sender wrote them. They may be kept for as long as one likes.
"""

import enum as _enum

from ._commands import build, run
from ._native import Node, SampleHandler, __version__

__all__ = ["DoraStatus", "Node", "SampleHandler", "__version__", "build", "run", "start_runtime"]


class DoraStatus(_enum.IntEnum):
    """What an operator wants after an event."""

    CONTINUE = 0
    """Go on."""
    STOP = 1
    """Stop this operator."""
    STOP_ALL = 2
    """Stop the whole dataflow."""


def start_runtime():
    """Runs the Python operators of the runtime node that this process was started for, until the dataflow ends."""
    from . import _runtime

    _runtime.start()


def __getattr__(name):
    if name in ("builder", "testing"):
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    if name.startswith("Ros2"):
        raise AttributeError(f"dora.{name} does not exist: this package is built without the ROS 2 bridge")
    if "tensor_pool" in name:
        raise AttributeError(f"dora.{name} does not exist: this package is built without tensor pools")
    raise AttributeError(f"module 'dora' has no attribute {name!r}")
