"""Once a second a wish for a tool, to whoever offers it. It does not know which tools there are.

A request is JSON, `{"tool": ..., "argument": ...}`, and goes to all tools; the one that is meant answers. The
`request_id` in the metadata says which request a response belongs to.
"""

import json

import pyarrow as pa
from dora import Node

#: Ticks after which nobody is expected to answer any more.
PATIENCE = 2


def main():
    node = Node()
    wishes = 0
    waiting = {}  # request_id: [tool, ticks to wait]
    for event in node:
        if event["type"] == "INPUT" and event["id"] == "tick":
            for request_id, (tool, ticks) in list(waiting.items()):
                waiting[request_id][1] -= 1
                if ticks <= 0:
                    print(f"nobody offers {tool}")
                    del waiting[request_id]
            wishes += 1
            tool, argument = ("echo", f"wish {wishes}") if wishes % 2 else ("calc", f"{wishes} * 7")
            request = pa.array([json.dumps({"tool": tool, "argument": argument})])
            waiting[node.send_service_request("tool-request", request)] = [tool, PATIENCE]
        elif event["type"] == "INPUT":
            # A response that comes too late is not waited for any more.
            tool, _ = waiting.pop(event["metadata"].get("request_id"), (None, 0))
            if tool:
                print(f"{tool} says: {event['value'][0].as_py()}")
        elif event["type"] == "INPUT_CLOSED":
            print(f"there are no tools at {event['id']}")
        elif event["type"] == "INPUT_RECOVERED":
            print(f"there are tools at {event['id']} again")
        elif event["type"] == "STOP":
            break


main()
