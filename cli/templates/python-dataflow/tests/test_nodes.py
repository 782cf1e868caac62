"""The nodes alone, without a dataflow: events go in, outputs come out."""

import listener
import pyarrow as pa
import talker
from dora.testing import MockNode


def test_talker_says_hello_on_every_tick():
    node = MockNode([("tick", None), ("tick", None)])
    assert talker.run(node, "parrot") == 2
    assert [data.to_pylist() for data in node.outputs["speech"]] == [["hello 1 from parrot"], ["hello 2 from parrot"]]


def test_listener_hears_every_input(capsys):
    node = MockNode([("speech-1", pa.array(["hello"])), ("speech-2", pa.array(["bye"]))])
    assert listener.run(node) == 2
    assert capsys.readouterr().out == "heard on speech-1: hello\nheard on speech-2: bye\n"
