"""`Node.recv_async` for asyncio: one file descriptor per node in the loop, no thread per call, no polling.

A waiter is only told to look; the message is taken by the coroutine itself, in the same step in which it returns.
So a cancelled call takes nothing with it.
"""

import asyncio
import os
from collections import deque


class Waiters:
    """The calls of one node that wait, and the loop that wakes them. Belongs to the node."""

    def __init__(self, fd):
        self._fd = fd
        self._loop = None
        self._waiting = deque()

    async def recv(self, node, timeout):
        """The next event; `None` at the end of the stream and when the time (seconds) is over."""
        done, event = node._poll()
        if done:
            return event
        loop = asyncio.get_running_loop()
        self._watch(loop)
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            waiter = loop.create_future()
            self._waiting.append(waiter)
            timer = None if deadline is None else loop.call_at(deadline, _finish, waiter)
            try:
                await waiter
            except BaseException:
                # Whoever waits next must look in place of this one.
                self._wake()
                raise
            finally:
                if timer is not None:
                    timer.cancel()
                self._forget(waiter)
            done, event = node._poll()
            if done:
                # There may be more than one message, and the bell rang once.
                self._wake()
                return event
            if deadline is not None and loop.time() >= deadline:
                return None

    def _watch(self, loop):
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            if self._waiting:
                raise RuntimeError("recv_async: another event loop is waiting for the events of this node")
            self._loop.remove_reader(self._fd)
        self._waiting.clear()
        loop.add_reader(self._fd, self._rang)
        self._loop = loop

    def _rang(self):
        # Before anybody looks: what comes after the look rings again.
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            pass
        self._wake()

    def _wake(self):
        """One of the waiters looks. If there is none, whoever comes next looks before it waits."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _forget(self, waiter):
        try:
            self._waiting.remove(waiter)
        except ValueError:
            pass


def _finish(waiter):
    if not waiter.done():
        waiter.set_result(None)
