"""Sends arrays through `echo.py` and compares what comes back."""

import pyarrow as pa
from arrow_arrays import arrays, one_of_each
from dora import Node
from hypothesis import HealthCheck, given, settings

node = Node()


def through(array):
    node.send_output("there", array)
    event = node.next(timeout=60)
    assert event is not None and event["type"] == "INPUT", f"{array.type} came back as {event}"
    return event["value"]


def check(array):
    back = through(array)
    assert back.type == array.type, f"{array.type} came back as {back.type}"
    back.validate(full=True)
    assert back.equals(array), f"{array} came back as {back}"


@settings(
    max_examples=400, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(arrays())
def any_array(array):
    check(array)


for array in one_of_each():
    check(array)
nan = through(pa.array([float("nan"), -0.0, float("inf")]))
assert str(nan.to_pylist()) == "[nan, -0.0, inf]", nan
check(pa.StructArray.from_arrays([], names=[]))
any_array()
node.log_info("all came back")
