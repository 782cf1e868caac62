"""`await node.recv_async()`: no message is lost or taken twice, whatever happens to the task that waits."""

FLOW = """
nodes:
  - id: test
    path: test.py
    inputs: {back: {source: test/out, queue_size: 10000}}
    outputs: [out]
"""

HEAD = """
import asyncio
import time
from dora import Node

node = Node()

def send(n):
    node.send_output("out", n.to_bytes(4, "little"))

def number(event):
    return int.from_bytes(bytes(event["value"].to_pylist()), "little")
"""


def passes(run_dataflow, source, flow=FLOW, **more):
    ended = run_dataflow(flow, {"test.py": HEAD + source, **more})
    assert ended.code == 0, repr(ended)
    return ended


def test_messages_come_in_order_and_the_loop_goes_on_meanwhile(run_dataflow):
    passes(
        run_dataflow,
        """
async def main():
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def sender():
        for n in range(500):
            send(n)
            await asyncio.sleep(0.001 if n % 50 == 0 else 0)

    other, sending = asyncio.create_task(others()), asyncio.create_task(sender())
    for n in range(500):
        assert number(await node.recv_async()) == n
    assert turns > 100, "the loop stood still"
    await sending
    other.cancel()

asyncio.run(main())
# Another loop, the same node.
async def again():
    send(7)
    return number(await node.recv_async()), await node.recv_async(timeout=0.05)
assert asyncio.run(again()) == (7, None)
""",
    )


def test_a_timeout_gives_none_and_loses_nothing(run_dataflow):
    passes(
        run_dataflow,
        """
async def main():
    before = time.monotonic()
    assert await node.recv_async(timeout=0.3) is None
    assert time.monotonic() - before >= 0.29
    assert await node.recv_async(0) is None
    send(1)
    assert number(await node.recv_async(timeout=60)) == 1
    for wrong in (-1, float("nan"), float("inf")):
        try:
            await node.recv_async(timeout=wrong)
            raise AssertionError(f"{wrong} was accepted")
        except ValueError:
            pass

asyncio.run(main())
""",
    )


def test_cancelling_loses_no_message(run_dataflow):
    passes(
        run_dataflow,
        """
import random

async def main():
    random.seed(1)
    got = []

    async def take():
        got.append(number(await node.recv_async()))

    sent = 0
    while sent < 1000:
        tasks = [asyncio.create_task(take()) for _ in range(random.randint(1, 3))]
        await asyncio.sleep(random.choice([0, 0, 0.0005]))
        for _ in range(random.randint(1, 4)):
            send(sent)
            sent += 1
        if random.random() < 0.5:
            await asyncio.sleep(random.choice([0, 0.0005]))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    while (event := await node.recv_async(timeout=1)) is not None:
        got.append(number(event))
    assert got == list(range(sent)), [n for n in range(sent) if n not in got][:5]

    # As users do it.
    try:
        await asyncio.wait_for(node.recv_async(), 0.05)
        raise AssertionError("something came")
    except asyncio.TimeoutError:
        pass
    send(5)
    assert number(await asyncio.wait_for(node.recv_async(), 60)) == 5

asyncio.run(main())
""",
    )


def test_several_tasks_wait_and_each_gets_its_message(run_dataflow):
    passes(
        run_dataflow,
        """
async def main():
    tasks = [asyncio.create_task(node.recv_async(timeout=60)) for _ in range(50)]
    await asyncio.sleep(0.05)
    for n in range(50):
        send(n)
    got = [number(event) for event in await asyncio.gather(*tasks)]
    assert sorted(got) == list(range(50)), got

asyncio.run(main())
""",
    )


def test_a_thread_that_waits_does_not_keep_events_from_the_loop(run_dataflow):
    passes(
        run_dataflow,
        """
import threading

async def main():
    task = asyncio.create_task(node.recv_async(timeout=60))
    await asyncio.sleep(0.05)
    got = []
    thread = threading.Thread(target=lambda: got.append(node.next(timeout=60)))
    thread.start()
    await asyncio.sleep(0.2)
    send(1)
    send(2)
    event = await task
    await asyncio.get_running_loop().run_in_executor(None, thread.join)
    assert sorted([number(event), number(got[0])]) == [1, 2]

asyncio.run(main())
""",
    )


def test_timers_wake_a_loop_and_the_end_of_the_stream_is_none(run_dataflow):
    flow = """
nodes:
  - id: source
    path: source.py
    inputs: {tick: dora/timer/millis/20}
    outputs: [out]
  - id: test
    path: test.py
    inputs: {x: source/out, tick: dora/timer/millis/30}
"""
    source = """
from dora import Node
node = Node()
for event, _ in zip(node, range(5)):
    node.send_output("out", b"x")
"""
    passes(
        run_dataflow,
        """
async def main():
    kinds = []
    while (event := await node.recv_async()) is not None:
        kinds.append(event["type"] if event["type"] != "INPUT" else event["id"])
        if kinds[-1] == "INPUT_CLOSED":
            break
    assert kinds.count("x") == 5 and "tick" in kinds, kinds

asyncio.run(main())
""",
        flow,
        **{"source.py": source},
    )


def test_the_end_of_the_stream_ends_an_async_loop(run_dataflow):
    flow = """
nodes:
  - id: source
    path: source.py
    outputs: [out]
  - id: test
    path: test.py
    inputs: {x: source/out}
"""
    passes(
        run_dataflow,
        """
async def main():
    kinds = []
    while (event := await node.recv_async()) is not None:
        kinds.append(event["type"])
    assert kinds == ["INPUT", "INPUT_CLOSED", "STOP"], kinds
    assert await node.recv_async() is None and await node.recv_async(timeout=1) is None

asyncio.run(main())
""",
        flow,
        **{"source.py": "from dora import Node; Node().send_output('out', b'x')"},
    )
