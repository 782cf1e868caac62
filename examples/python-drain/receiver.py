"""Works for a second, then looks at all that has come in meanwhile."""

import time

from dora import Node


def main():
    node = Node()
    numbers = []
    running = True
    while running:
        time.sleep(1.0)  # a slow computation
        events = node.drain()
        event = node.try_recv()  # never waits: None when nothing has come in since
        if event is not None:
            events.append(event)
        batch = [event["value"][0].as_py() for event in events if event["type"] == "INPUT"]
        print(f"{len(batch)} numbers at once")
        numbers += batch
        running = not any(event["type"] == "STOP" for event in events)
    in_order = numbers == list(range(len(numbers)))
    print(f"{len(numbers)} numbers in all, {'in order' if in_order else 'out of order'}")


main()
