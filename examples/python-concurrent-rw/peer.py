"""Publishes fifty numbers in one thread while another reads those of the other peer, on the same `Node`."""

import threading
import time

import pyarrow as pa
from dora import Node

COUNT = 50


def publish(node):
    for i in range(COUNT):
        node.send_output("number", pa.array([i]))
        time.sleep(0.01)


def read(node, numbers):
    while len(numbers) < COUNT:
        event = node.next()
        if event is None or event["type"] == "STOP":
            break
        if event["type"] == "INPUT":
            numbers.append(event["value"][0].as_py())


def main():
    node = Node()
    numbers = []
    threads = [
        threading.Thread(target=read, args=(node, numbers)),
        threading.Thread(target=publish, args=(node,)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    in_order = numbers == list(range(COUNT))
    print(f"sent {COUNT} and received {len(numbers)}, {'in order' if in_order else 'out of order'}")


main()
