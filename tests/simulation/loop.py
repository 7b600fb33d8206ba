"""Virtual time: one event queue, and the tasks of nodes that live by it."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

MOST_STEPS = 200_000


class Killed(BaseException):
    """The process that runs this code has just died; nothing after it happens."""


class EndlessError(Exception):
    """More events than any run that comes to rest has."""


class Loop:
    """A queue of (virtual second, order of arrival, call); time moves only by taking from it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.current: Task | None = None
        self.steps = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        # most is due at once, and needs no place in an order of time
        self._due: deque[Callable[[], None]] = deque()
        self._number = 0

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call after `delay_s` of virtual time; what is due at once keeps its order."""
        if delay_s <= 0:
            self._due.append(call)
            return
        self._number += 1
        heapq.heappush(self._queue, (self.now_s + delay_s, self._number, call))

    def run_until(self, end_s: float) -> None:
        """Take every event up to `end_s`."""
        queue, due = self._queue, self._due
        while due or (queue and queue[0][0] <= end_s):
            if due:
                call = due.popleft()
            else:
                self.now_s, _, call = heapq.heappop(queue)
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise EndlessError
            call()
        self.now_s = end_s


class Signal:
    """Something a task may wait for; it happens once, with a value or an error."""

    __slots__ = ("done", "error", "value", "waiters")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.waiters: list[Callable[[], None]] = []

    def __await__(self) -> Generator["Signal", None, Any]:
        """Wait until it has happened."""
        if not self.done:
            yield self
        if self.error is not None:
            raise self.error
        return self.value

    def set(self, value: object = None, error: BaseException | None = None) -> None:
        """Let it happen, once."""
        if self.done:
            return
        self.done, self.value, self.error = True, value, error
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter()


class Node(Protocol):
    """What tasks run on."""

    tasks: "list[Task]"

    def die(self, reason: str) -> None:
        """End at once."""


class Task:
    """A coroutine of one node; `finished` happens with its result."""

    def __init__(
        self,
        loop: Loop,
        work: Coroutine[Signal, None, object],
        node: "Node",
    ) -> None:
        self.finished = Signal()
        self.node = node
        self._loop = loop
        self._work = work
        node.tasks.append(self)
        self._waiting: Signal | None = None
        self._cancel = False
        loop.later(0.0, self._step)

    def cancel(self) -> None:
        """Raise CancelledError in it at its next step."""
        if not self.finished.done:
            self._cancel = True
            self._waiting = None
            self._loop.later(0.0, self._step)

    def discard(self) -> None:
        """Forget it as a dead process forgets its threads."""
        self._waiting = None
        if not self.finished.done:
            self.finished.set(error=Killed())
            with suppress(RuntimeError):
                # a dead process does not wait for its threads, whatever it wanted
                self._work.close()

    async def over(self) -> None:
        """Wait until it has ended, however."""
        if not self.finished.done:
            signal = Signal()
            self.finished.waiters.append(signal.set)
            await signal

    def exception(self) -> BaseException | None:
        """Return what ended it, None if it ended well."""
        return self.finished.error

    def _wake(self, signal: Signal) -> None:
        if self._waiting is signal:
            self._waiting = None
            self._loop.later(0.0, self._step)

    def _step(self) -> None:
        if self.finished.done or self._waiting is not None:
            return
        loop = self._loop
        before, loop.current = loop.current, self
        try:
            if self._cancel:
                self._cancel = False
                signal = self._work.throw(asyncio.CancelledError())
            else:
                signal = self._work.send(None)
        except StopIteration as stop:
            self.finished.set(stop.value)
        except Killed as error:
            self.finished.set(error=error)
            self.node.die("killed")
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whoever waits for it gets it
            self.finished.set(error=error)
        else:
            self._waiting = signal
            signal.waiters.append(partial(self._wake, signal))
        finally:
            loop.current = before
