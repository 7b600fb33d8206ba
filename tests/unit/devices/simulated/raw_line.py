"""A client of a pty that sets nothing and sees every byte."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class RawLine:
    """The client's end of a line; `heard` is all that came and was not yet taken."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.heard = bytearray()
        self._news = asyncio.Event()

    def send(self, frame: bytes) -> None:
        """Write bytes as they are."""
        os.write(self.fd, frame)

    def listen(self) -> None:
        """Take what lies there."""
        with suppress(BlockingIOError):
            self.heard += os.read(self.fd, 4096)
            self._news.set()

    async def hear(self, count: int, *, within_s: float = 2.0) -> bytes:
        """Take that many bytes; TimeoutError if they do not come in time."""
        async with asyncio.timeout(within_s):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        taken, self.heard = bytes(self.heard[:count]), self.heard[count:]
        return taken


@contextmanager
def raw_line(path: Path) -> Iterator[RawLine]:
    """The line at a path, open; within a running event loop."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    line, loop = RawLine(fd), asyncio.get_running_loop()
    loop.add_reader(fd, line.listen)
    try:
        yield line
    finally:
        loop.remove_reader(fd)
        os.close(fd)
