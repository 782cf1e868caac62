"""Sends ten states of an arm and temperatures, and then something that is no state."""

import pyarrow as pa
from dora import Node

VECTOR3 = pa.struct([(axis, pa.float64()) for axis in "xyz"])
JOINT = pa.struct([("name", pa.string()), ("angle", pa.float64())])
STATE = pa.struct([("position", VECTOR3), ("joints", pa.list_(JOINT))])

node = Node()
for i in range(10):
    state = {
        "position": {"x": 0.1 * i, "y": 0.0, "z": 0.5},
        "joints": [{"name": "shoulder", "angle": 0.05 * i}, {"name": "elbow", "angle": 1.0}],
    }
    node.send_output("state", pa.array([state], STATE))
    node.send_output("temperature", pa.array([60.0 + i], pa.float64()))

try:
    node.send_output("state", pa.array([{"x": 1.0, "y": 2.0, "z": 3.0}], VECTOR3))
except Exception as error:
    assert "example/robot/v1/ArmState" in str(error), error
    print("a vector is no state, so it was not sent")
print("sent 10 states")
