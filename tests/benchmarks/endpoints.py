"""Lean Modbus TCP endpoints in a process of their own: every read is answered alike."""

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import cast

from tests.benchmarks.loops import fastest_loop

HEAD = 12
START_S = 20


@contextmanager
def endpoints(count: int, *, delay_s: float = 0.0) -> Iterator[list[int]]:
    """The ports of `count` endpoints on loopback that answer a read after `delay_s`."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(there, count, delay_s)
    )
    server.start()
    try:
        if not here.poll(START_S):
            message = "the endpoints did not start in time"
            raise TimeoutError(message)
        ports: list[int] = here.recv()
        yield ports
    finally:
        here.send("stop")
        server.join(5)


class _Endpoint(asyncio.Protocol):
    """Answers read requests with rising words, one after the other."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._write: Callable[[bytes], None] = _nowhere
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's
        self._write = cast("asyncio.Transport", transport).write

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        while len(data) >= HEAD:
            size = 2 * data[11]
            answer = b"%b%b%b%b%b" % (
                data[:4],
                (3 + size).to_bytes(2, "big"),
                data[6:8],
                size.to_bytes(1, "big"),
                WORDS[:size],
            )
            if self._delay_s:
                self._loop.call_later(self._delay_s, self._write, answer)
            else:
                self._write(answer)
            data = data[HEAD:]
        self._buffer = data


def _nowhere(_: bytes) -> None:
    """Take what is written before there is a connection."""


def _serve(pipe: Connection, count: int, delay_s: float) -> None:
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(_serving(pipe, count, delay_s))


async def _serving(pipe: Connection, count: int, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: _Endpoint(delay_s), "127.0.0.1", 0) for _ in range(count)
    ]
    pipe.send([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.to_thread(pipe.recv)
    for server in servers:
        server.close()


WORDS = bytes(range(250))
