"""A TCP proxy that does what networks do: cut, delay, flip bits, go silent."""

import asyncio
import random
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

CHUNK = 4096
STARTED_S = 10.0


class FaultProxy:
    """Listens on a loopback port of its own and talks to another; runs in a thread."""

    def __init__(self, target_port: int, seed: int = 1) -> None:
        self.port = 0
        self.passed = 0
        self.flipped = 0
        self._target_port = target_port
        self._rng = random.Random(seed)
        self._delay_s = 0.0
        self._flip_every = 0
        self._silent = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy")
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._do(self._start())

    def stop(self) -> None:
        """End everything."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STARTED_S)
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._do(self._cut())

    def behave(self, *, delay_s: float = 0.0, flip_every: int = 0, silent: bool = False) -> None:
        """Delay what passes, flip one bit in so many bytes, or take bytes and pass none on."""
        self._delay_s, self._flip_every, self._silent = delay_s, flip_every, silent

    def _do(self, work: Coroutine[None, None, T]) -> T:
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(STARTED_S)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._cut()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, back))
                group.create_task(self._pass(there, writer))
        except* OSError:
            pass
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            if self._silent:
                # half open: both ends believe in a connection that carries nothing
                continue
            if self._delay_s:
                await asyncio.sleep(self._rng.uniform(0, 2 * self._delay_s))
            if self._flip_every:
                data = self._spoilt(data)
            sink.write(data)
            await sink.drain()
            self.passed += len(data)
        sink.transport.abort()

    def _spoilt(self, data: bytes) -> bytes:
        spoilt = bytearray(data)
        for place in range(len(spoilt)):
            if self._rng.randrange(self._flip_every) == 0:
                spoilt[place] ^= 1 << self._rng.randrange(8)
                self.flipped += 1
        return bytes(spoilt)
