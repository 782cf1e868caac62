"""The node alone, without a dataflow: events go in, outputs come out."""

import node
from dora.testing import MockNode


def test_every_tick_is_counted():
    mock = MockNode([("tick", None), ("tick", None)])
    assert node.run(mock) == 2
    assert [data.to_pylist() for data in mock.outputs["count"]] == [[1], [2]]
