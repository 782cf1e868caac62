"""Puts pictures and boxes together, as text."""


class Operator:
    """Prints where the object went."""

    def __init__(self):
        self.pictures = {}
        self.boxes = []

    def on_event(self, dora_event, send_output):
        if dora_event["type"] == "INPUT" and dora_event["id"] == "image":
            self.pictures[dora_event["metadata"]["number"]] = dora_event["value"]
        elif dora_event["type"] == "INPUT":
            self.boxes.append((dora_event["metadata"]["number"], tuple(dora_event["value"].to_pylist())))
        elif dora_event["type"] == "STOP":
            nodes = len(self.dataflow_descriptor["nodes"])
            found = [box for number, box in self.boxes if number in self.pictures]
            print(f"{len(found)} boxes in a dataflow of {nodes} nodes, from {found[0]} to {found[-1]}")
