"""Prints what is said, until nobody says anything any more."""

from dora import Node


def run(node):
    """Returns how much it heard."""
    heard = 0
    for event in node:
        if event["type"] == "INPUT":
            print(f"heard on {event['id']}: {event['value'][0].as_py()}")
            heard += 1
        elif event["type"] == "STOP":
            break
    return heard


if __name__ == "__main__":
    print(f"heard {run(Node())} sentences")
