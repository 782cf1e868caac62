"""Brings the records of Python's `logging` into the log of the node.

One handler on the root logger, however many nodes a process makes. Handlers that are there stay, and so does a level that
somebody chose; otherwise `min_log_level` of the node decides, and without it `info`: the debug messages of every library that
a node imports are nobody's wish.
"""

import logging
import sys

from ._native import log_record


class DoraHandler(logging.Handler):
    """Writes each record as a structured line of the node's log."""

    def __init__(self, node_id):
        super().__init__()
        self.node_id = node_id

    def emit(self, record):
        """Writes the record. Never raises: a program shall not die of its log."""
        try:
            # What is no text (a lone surrogate, from a file name for example) is escaped.
            text = self.format(record).encode("utf-8", "backslashreplace").decode("utf-8")
            # What was printed before stands before it.
            sys.stdout.flush()
            log_record(self.node_id, _level(record.levelno), text, record.name, record.pathname, record.lineno)
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)


def _level(number):
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    if number >= logging.INFO:
        return "info"
    if number >= logging.DEBUG:
        return "debug"
    return "trace"


#: What a node's `min_log_level` lets through.
_LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.NOTSET,
    "stdout": logging.NOTSET,
}


def install(node_id, min_log_level=None):
    """Adds the handler, or tells the one that is there the name of the node."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, DoraHandler):
            handler.node_id = node_id
            return
    if not root.handlers and root.level == logging.WARNING:
        root.setLevel(_LEVELS.get(min_log_level, logging.INFO))
    root.addHandler(DoraHandler(node_id))
