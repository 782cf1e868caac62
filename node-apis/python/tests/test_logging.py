"""Records of Python's `logging` reach the log of the dataflow as what they are."""

FLOW = """
nodes:
  - id: test
    path: test.py
    min_log_level: {level}
"""


def run_node(run_dataflow, source, level="stdout"):
    ended = run_dataflow(FLOW.format(level=level), {"test.py": source})
    assert ended.code == 0, repr(ended)
    return ended


def test_records_keep_level_text_file_line_and_logger(run_dataflow):
    ended = run_node(
        run_dataflow,
        """
import logging
from dora import Node

logging.getLogger("early").warning("before the node")
node = Node()
log = logging.getLogger("lens.cap")
log.debug("d %s", 1)
log.info("i")
log.warning("w")
log.error("e äß€𝄞 \\"quoted\\"\\nsecond line")
log.critical("c")
log.info("half a character: \\ud83d")
log.log(5, "t")
print("printed")
try:
    raise ValueError("inside")
except ValueError:
    log.exception("caught")
""",
    )
    logs = {log["message"]: log for log in ended.logs if log["node_id"] == "test"}
    for message, level in [("d 1", "debug"), ("i", "info"), ("w", "warn"), ("c", "error"), ("t", "trace")]:
        assert logs[message]["level"].lower() == level, logs[message]
        assert logs[message]["target"] == "lens.cap", logs[message]
    record = logs["w"]
    assert record["file"].endswith("test.py") and record["line"] == 10, record
    assert logs['e äß€𝄞 "quoted"\nsecond line']["level"].lower() == "error"
    assert "half a character: \\ud83d" in logs, list(logs)
    assert logs["printed"]["level"].lower() == "stdout"
    caught = next(message for message in logs if message.startswith("caught"))
    assert "ValueError: inside" in caught and "Traceback" in caught, caught


def test_the_minimum_level_of_the_descriptor_filters_records(run_dataflow):
    source = """
import logging
from dora import Node
node = Node()
for level in ("debug", "info", "warning", "error"):
    getattr(logging, level)("%s passes", level)
node.log("debug", "own debug")
node.log_warn("own warn")
"""
    for level, expected in [
        ("info", ["info passes", "warning passes", "error passes", "own warn"]),
        ("error", ["error passes"]),
    ]:
        assert run_node(run_dataflow, source, level).of("test") == expected


def test_debug_records_of_libraries_are_not_wanted_unless_the_descriptor_says_so(run_dataflow):
    source = """
import logging
from dora import Node
node = Node()
logging.getLogger("library").debug("chatter")
logging.info("wanted")
"""
    flow = FLOW.replace("    min_log_level: {level}\n", "")
    ended = run_dataflow(flow, {"test.py": source})
    assert ended.code == 0 and ended.of("test") == ["wanted"], repr(ended)
    assert run_node(run_dataflow, source, "debug").of("test") == ["chatter", "wanted"]


def test_a_configuration_made_before_the_node_stays(run_dataflow):
    ended = run_node(
        run_dataflow,
        """
import logging
logging.basicConfig(level=logging.WARNING, format="mine: %(message)s")
from dora import Node
node = Node()
logging.info("too low")
logging.warning("high enough")
assert logging.getLogger().level == logging.WARNING
""",
    )
    assert ended.of("test", "warn") == ["high enough"], repr(ended)
    assert "mine: high enough" in ended.of("test"), "the handler of the user is gone"
    assert not any("too low" in line for line in ended.of("test")), repr(ended)


def test_a_second_node_object_does_not_double_the_lines(run_dataflow):
    ended = run_node(
        run_dataflow,
        """
import logging
from dora import Node, _logging
node = Node()
try:
    Node()
except RuntimeError:
    pass
_logging.install("test")
logging.info("once")
""",
    )
    assert ended.of("test").count("once") == 1, repr(ended)


def test_the_node_writes_lines_with_target_and_fields(run_dataflow):
    ended = run_node(
        run_dataflow,
        """
from dora import Node
node = Node()
node.log("info", "with fields", target="lens", fields={"a": "1"})
node.log("WARNING", "odd")
node.log("loud", "unknown level")
for level in ("error", "warn", "info", "debug", "trace"):
    getattr(node, f"log_{level}")(f"plain {level}")
""",
    )
    logs = {log["message"]: log for log in ended.logs if log["node_id"] == "test"}
    assert logs["with fields"]["target"] == "lens" and logs["with fields"]["fields"]["a"] == "1"
    assert logs["odd"]["level"].lower() == "warn" and logs["unknown level"]["level"].lower() == "info"
    for level in ("error", "warn", "info", "debug", "trace"):
        assert logs[f"plain {level}"]["level"].lower() == level
