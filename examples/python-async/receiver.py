"""Awaits fifty numbers while another task of the same event loop goes on."""

import asyncio

from dora import Node


async def receive(node):
    numbers = []
    while len(numbers) < 50:
        event = await node.recv_async()
        if event is None or event["type"] == "STOP":
            break
        if event["type"] == "INPUT":
            numbers.append(event["value"][0].as_py())
    print(f"received {len(numbers)} numbers, from {numbers[0]} to {numbers[-1]}")


async def blink():
    """Stands for whatever else the program does: a web server, a device, a user interface."""
    for turn in range(4):
        print(f"the lamp is {'off' if turn % 2 else 'on'}")
        await asyncio.sleep(0.1)


async def main():
    node = Node()
    await asyncio.gather(receive(node), blink())


asyncio.run(main())
