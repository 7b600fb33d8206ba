"""The least that a Modbus TCP client in Python can do: the limit that links are measured by."""

import asyncio
import struct
from typing import cast

ANSWER_HEAD = 9


class RawClient(asyncio.Protocol):
    """Asks one question at a time and believes whatever comes back whole."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._question = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, count)
        self._words = struct.Struct(f">{count}H")
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, ...]] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if len(data) < ANSWER_HEAD + self._words.size:
            self._buffer = data
            return
        self._buffer = b""
        self._answer.set_result(self._words.unpack_from(data, ANSWER_HEAD))

    async def read(self) -> tuple[int, ...]:
        """The words of one read."""
        self._answer = self._loop.create_future()
        if self._transport is not None:
            self._transport.write(self._question)
        return await self._answer

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()


async def connect_raw(port: int, count: int) -> RawClient:
    """A connection to a port on loopback that reads `count` registers."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: RawClient(count), "127.0.0.1", port)
    return client


class StreamClient:
    """The same over asyncio's streams."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._question = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, count)
        self._words = struct.Struct(f">{count}H")

    async def read(self) -> tuple[int, ...]:
        """The words of one read."""
        self._writer.write(self._question)
        answer = await self._reader.readexactly(ANSWER_HEAD + self._words.size)
        return self._words.unpack_from(answer, ANSWER_HEAD)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def connect_streams(port: int, count: int) -> StreamClient:
    """A connection to a port on loopback that reads `count` registers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return StreamClient(reader, writer, count)
