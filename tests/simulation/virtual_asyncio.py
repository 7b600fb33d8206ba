"""The few parts of asyncio that the uplink uses, on virtual time."""

import asyncio
import types
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from tests.simulation.loop import Killed, Loop, Signal, Task

_SHORTEST_S = 1e-6


class Event:
    """asyncio.Event."""

    def __init__(self) -> None:
        self._flag = False
        self._signal = Signal()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._flag

    def set(self) -> None:
        """Let all who wait go on."""
        self._flag = True
        self._signal.set()

    def clear(self) -> None:
        """Let those who come wait again."""
        if self._flag:
            self._flag = False
            self._signal = Signal()

    async def wait(self) -> bool:
        """Wait until it is set."""
        await self._signal
        return True


class Lock:
    """asyncio.Lock."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[Signal] = deque()

    async def __aenter__(self) -> None:
        """Wait until it is free."""
        while self._held:
            signal = Signal()
            self._waiting.append(signal)
            await signal
        self._held = True

    async def __aexit__(self, *_: object) -> None:
        """Free it."""
        self._held = False
        if self._waiting:
            self._waiting.popleft().set()


class TaskGroup:
    """asyncio.TaskGroup: the first that fails ends the others."""

    def __init__(self, loop: Callable[[], Loop]) -> None:
        self._loop = loop
        self._tasks: list[Task] = []

    async def __aenter__(self) -> "TaskGroup":  # noqa: PYI034 - nobody inherits from it
        """Begin."""
        return self

    def create_task(self, work: Coroutine[Signal, None, object], *, name: str = "") -> Task:
        """Start one more."""
        del name
        loop = self._loop()
        assert loop.current is not None
        task = Task(loop, work, loop.current.node)
        self._tasks.append(task)
        return task

    async def __aexit__(self, kind: object, error: BaseException | None, _: object) -> None:
        """Wait for all, or for the first failure; ExceptionGroup with what failed."""
        if kind is GeneratorExit or kind is Killed:
            return
        while error is None and not self._failed() and self._running():
            signal = Signal()
            for task in self._running():
                task.finished.waiters.append(signal.set)
            await signal
        failed = self._failed()
        if isinstance(error, Exception):
            failed.insert(0, error)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            await task.over()
        if failed:
            message = "unhandled errors in a TaskGroup"
            raise ExceptionGroup(message, failed)

    def _running(self) -> list[Task]:
        return [task for task in self._tasks if not task.finished.done]

    def _failed(self) -> list[Exception]:
        errors = [task.finished.error for task in self._tasks]
        return [error for error in errors if isinstance(error, Exception)]


class Timeout:
    """asyncio.timeout: a wait that lasts too long is a TimeoutError."""

    def __init__(self, loop: Callable[[], Loop], delay_s: float) -> None:
        self._loop = loop
        self._delay_s = delay_s
        self._over = False
        self._fired = False

    async def __aenter__(self) -> None:
        """Begin to count."""
        loop = self._loop()
        task = loop.current
        assert task is not None

        def fire() -> None:
            if not self._over:
                self._fired = True
                task.cancel()

        loop.later(self._delay_s, fire)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop counting."""
        self._over = True
        if self._fired and kind is asyncio.CancelledError:
            raise TimeoutError


def module(loop: Callable[[], Loop], hop_s: Callable[[], float]) -> types.SimpleNamespace:
    """Return what `import asyncio` means on a node; a threaded call waits `hop_s` on each side."""

    async def sleep(delay_s: float) -> None:
        signal = Signal()
        # real time moves during the shortest sleep; a float of seconds may not
        loop().later(max(delay_s, _SHORTEST_S), signal.set)
        await signal

    async def to_thread(function: Callable[..., Any], *args: object, **kwargs: object) -> object:
        # others may run before and after it, and the node may die
        if before_s := hop_s():
            await sleep(before_s)
        result = function(*args, **kwargs)
        if after_s := hop_s():
            await sleep(after_s)
        return result

    def create_task(work: Coroutine[Signal, None, object], *, name: str = "") -> Task:
        del name
        running = loop().current
        assert running is not None
        return Task(loop(), work, running.node)

    async def shield(task: Task) -> object:
        await task.over()
        return await task.finished

    async def wait(tasks: set[Task]) -> None:
        for task in tasks:
            await task.over()

    return types.SimpleNamespace(
        create_task=create_task,
        shield=shield,
        wait=wait,
        CancelledError=asyncio.CancelledError,
        Event=Event,
        Lock=Lock,
        TaskGroup=partial(TaskGroup, loop),
        timeout=partial(Timeout, loop),
        sleep=sleep,
        to_thread=to_thread,
    )
