"""The TCP link against an endpoint that misbehaves on purpose."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from protocols.errors import DeviceError, LinkError, WireError
from protocols.io.modbus_tcp import ModbusTcpLink

# What an endpoint sends back for a request frame: pieces, in order.
Behaviour = Callable[[bytes], list[bytes]]


class Endpoint:
    """A scripted endpoint that counts its connections."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0
        self.behaviour: Behaviour = good


def good(frame: bytes) -> list[bytes]:
    count = frame[11]
    head = frame[:4] + (3 + 2 * count).to_bytes(2, "big") + frame[6:8] + bytes((2 * count,))
    return [head + b"".join(n.to_bytes(2, "big") for n in range(1, count + 1))]


@asynccontextmanager
async def serving() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        endpoint.connections += 1
        try:
            while frame := await reader.read(260):
                for piece in endpoint.behaviour(frame):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if endpoint.behaviour is hang_up:
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    endpoint.port = server.sockets[0].getsockname()[1]
    try:
        yield endpoint
    finally:
        server.close()
        await server.wait_closed()


def in_pieces(frame: bytes) -> list[bytes]:
    return [bytes((byte,)) for byte in good(frame)[0]]


def late_number(frame: bytes) -> list[bytes]:
    answer = bytearray(good(frame)[0])
    answer[1] ^= 1
    return [bytes(answer)]


def other_unit(frame: bytes) -> list[bytes]:
    answer = bytearray(good(frame)[0])
    answer[6] += 1
    return [bytes(answer)]


def too_much(frame: bytes) -> list[bytes]:
    return [good(frame)[0] + b"\x00"]


def noise(frame: bytes) -> list[bytes]:
    del frame
    return [b"HTTP/1.1 400"]


def mute(frame: bytes) -> list[bytes]:
    del frame
    return []


def hang_up(frame: bytes) -> list[bytes]:
    del frame
    return []


def refuse(frame: bytes) -> list[bytes]:
    return [frame[:4] + b"\x00\x03" + frame[6:7] + bytes((frame[7] | 0x80, 2))]


@pytest.mark.parametrize("behaviour", [good, in_pieces])
async def test_words_arrive_whole_or_in_pieces(behaviour: Behaviour) -> None:
    async with serving() as endpoint:
        endpoint.behaviour = behaviour
        link = ModbusTcpLink("127.0.0.1", endpoint.port)
        assert await link.transact(1, 3, 0, 4) == (1, 2, 3, 4)
        assert await link.transact(1, 3, 0, 1) == (1,)
        await link.close()
        assert endpoint.connections == 1


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (late_number, WireError),
        (other_unit, WireError),
        (too_much, WireError),
        (noise, WireError),
        (mute, LinkError),
        (hang_up, LinkError),
    ],
)
async def test_a_wrong_answer_closes_and_the_next_question_reopens(
    behaviour: Behaviour, error: type[Exception]
) -> None:
    async with serving() as endpoint:
        endpoint.behaviour = behaviour
        link = ModbusTcpLink("127.0.0.1", endpoint.port, timeout_s=0.1)
        with pytest.raises(error):
            await link.transact(1, 3, 0, 2)
        endpoint.behaviour = good
        assert await link.transact(1, 3, 0, 2) == (1, 2)
        await link.close()
        assert endpoint.connections == 2


async def test_a_refusal_keeps_the_connection() -> None:
    async with serving() as endpoint:
        endpoint.behaviour = refuse
        link = ModbusTcpLink("127.0.0.1", endpoint.port)
        with pytest.raises(DeviceError) as caught:
            await link.transact(1, 3, 0, 2)
        assert caught.value.code == 2
        endpoint.behaviour = good
        assert await link.transact(1, 3, 0, 2) == (1, 2)
        await link.close()
        assert endpoint.connections == 1


async def test_only_one_question_is_open_at_a_time() -> None:
    async with serving() as endpoint:
        link = ModbusTcpLink("127.0.0.1", endpoint.port)
        answers = await asyncio.gather(*(link.transact(1, 3, 0, n) for n in range(1, 9)))
        assert [len(words) for words in answers] == list(range(1, 9))
        await link.close()
        assert endpoint.connections == 1


async def test_a_cancelled_question_never_meets_its_late_answer() -> None:
    async with serving() as endpoint:
        endpoint.behaviour = mute
        link = ModbusTcpLink("127.0.0.1", endpoint.port, timeout_s=5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.transact(1, 3, 0, 2), 0.05)
        endpoint.behaviour = good
        assert await link.transact(1, 3, 0, 2) == (1, 2)
        await link.close()
        assert endpoint.connections == 2


async def test_nobody_there() -> None:
    async with serving() as endpoint:
        port = endpoint.port
    with pytest.raises(LinkError, match="no connection"):
        await ModbusTcpLink("127.0.0.1", port).transact(1, 3, 0, 1)
