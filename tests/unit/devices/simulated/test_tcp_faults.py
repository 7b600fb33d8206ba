"""Faults of meters behind a TCP gateway, as its clients meet them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from devices.profile import profiles_folder
from devices.simulated.faults import parse_fault
from devices.simulated.servers import servers_of
from devices.simulated.site import build_site, load_site
from devices.simulated.tcp_server import TcpServer
from devices.virtual_clock import VirtualClock
from protocols.errors import LinkError, WireError
from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.modbus.frames import Request, request_pdu, rtu_frame, tcp_frame

SITE = load_site(profiles_folder().parent / "demo" / "qingsong-site.yaml")
CLOCK = VirtualClock(SITE.era.start_us + 30 * 86_400_000_000)
PLAIN = build_site(SITE).on_bus("tcp-1")
ENERGY = (4, 0x48, 2)
LENGTH = 13


@asynccontextmanager
async def serving(*texts: str) -> AsyncIterator[TcpServer]:
    site = build_site(
        SITE, faults=[parse_fault(text, launch_us=SITE.era.start_us) for text in texts]
    )
    server = servers_of(site, CLOCK, tcp_port=0)["tcp-1"]
    assert isinstance(server, TcpServer)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


class Client:
    """A connection that sends frames and takes whatever comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def ask(self, number: int, unit_id: int) -> None:
        self.writer.write(tcp_frame(number, unit_id, request_pdu(Request(unit_id, *ENERGY))))

    async def take(self, count: int = LENGTH) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), 2)


@asynccontextmanager
async def connected(server: TcpServer) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), 2)


def ids(answers: list[bytes]) -> list[int]:
    return [int.from_bytes(answer[:2], "big") for answer in answers]


async def test_a_late_reply_is_overtaken_and_still_comes() -> None:
    async with serving("e-1-101=late:120") as server, connected(server) as client:
        began = time.monotonic()
        for number, unit_id in ((1, 1), (2, 1), (3, 3)):
            client.ask(number, unit_id)
        answers = [await client.take() for _ in range(2)]
        assert ids(answers) == [2, 3]
        late = await client.take()
        assert ids([late]) == [1]
        assert late[2:] == answers[0][2:]
        assert time.monotonic() - began >= 0.12
        client.ask(4, 1)
        assert ids([await client.take()]) == [4]


async def test_slow_replies_keep_their_order() -> None:
    async with serving("e-1-101=slow:60") as server, connected(server) as client:
        began = time.monotonic()
        for number, unit_id in ((1, 1), (2, 3), (3, 1), (4, 3)):
            client.ask(number, unit_id)
        assert ids([await client.take() for _ in range(4)]) == [1, 2, 3, 4]
        assert time.monotonic() - began >= 0.06


async def test_closing_drops_what_waits() -> None:
    async with serving("e-1-101=slow:60000", "e-1-103=late:60000") as server:
        async with connected(server) as client:
            client.ask(1, 1)
            client.ask(2, 3)
            client.ask(3, 3)
            await client.writer.drain()
            link = ModbusTcpLink("127.0.0.1", server.port)
            assert len(await link.transact(6, *ENERGY)) == 2
            await link.close()
        before = len(asyncio.all_tasks())
    assert len(asyncio.all_tasks()) <= before


async def test_a_request_too_early_is_not_heard() -> None:
    async with serving("e-1-101=pause:300") as server, connected(server) as client:
        client.ask(1, 1)
        assert ids([await client.take()]) == [1]
        client.ask(2, 1)
        client.ask(3, 3)
        assert ids([await client.take()]) == [3]
        await asyncio.sleep(0.31)
        client.ask(4, 1)
        assert ids([await client.take()]) == [4]


async def test_polled_too_fast_it_goes_mute() -> None:
    async with serving("e-1-101=reboots:60000") as server:
        link = ModbusTcpLink("127.0.0.1", server.port, timeout_s=0.1)
        for _ in range(2):
            assert await link.transact(1, *ENERGY) == PLAIN[1].words(*ENERGY, CLOCK.at_us)
        for _ in range(2):
            with pytest.raises(LinkError, match="unit 1 did not answer"):
                await link.transact(1, *ENERGY)
        assert len(await link.transact(3, *ENERGY)) == 2
        await link.close()


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("wrong-transaction", WireError, "answer to transaction 2, asked was 1"),
        ("no-transaction", WireError, "answer to transaction 0, asked was 1"),
        ("wrong-unit", WireError, "answer of unit 2, asked was 1"),
        ("spoiled", LinkError, "did not answer in time, only 12 bytes"),
    ],
)
async def test_our_link_takes_no_wrong_frame(kind: str, error: type[Exception], says: str) -> None:
    async with serving(f"e-1-101={kind}") as server:
        link = ModbusTcpLink("127.0.0.1", server.port, timeout_s=0.1)
        with pytest.raises(error, match=says):
            await link.transact(1, *ENERGY)
        assert await link.transact(3, *ENERGY) == PLAIN[3].words(*ENERGY, CLOCK.at_us)
        await link.close()


async def test_the_bytes_of_a_spoiled_reply() -> None:
    async with serving("e-1-101=spoiled") as server, connected(server) as client:
        client.ask(7, 1)
        client.ask(8, 3)
        answers = await client.take(2 * LENGTH - 1)
        assert answers[:6] == bytes((0, 7, 0, 0, 0, 7))
        assert ids([answers[LENGTH - 1 :]]) == [8]


async def test_rtu_frames_over_tcp() -> None:
    async with serving("tcp-1=rtu-framing", "e-1-103=wrong-unit") as server:
        async with connected(server) as client:
            # a client that speaks MBAP hears nothing, and does not confuse the next request
            client.ask(1, 1)
            await client.writer.drain()
            await asyncio.sleep(0.02)
            frame = rtu_frame(1, request_pdu(Request(1, *ENERGY)))
            client.writer.write(frame[:3])
            await client.writer.drain()
            await asyncio.sleep(0.02)
            # nobody is unit 99, and a converter does not say so
            client.writer.write(frame[3:] + rtu_frame(99, request_pdu(Request(99, *ENERGY))))
            client.writer.write(rtu_frame(3, request_pdu(Request(3, *ENERGY))))
            first, third = await client.take(9), await client.take(9)
        words = PLAIN[1].words(*ENERGY, CLOCK.at_us)
        data = b"".join(word.to_bytes(2, "big") for word in words)
        assert first == rtu_frame(1, bytes((4, 4)) + data)
        assert third[0] == 4


async def test_the_framing_changes_back() -> None:
    async with serving("tcp-1=rtu-framing@0,60", "e-1-101=silent@0,60") as server:
        link = ModbusTcpLink("127.0.0.1", server.port)
        assert await link.transact(1, *ENERGY) == PLAIN[1].words(*ENERGY, CLOCK.at_us)
        await link.close()


async def test_zeros_for_absent_unit_ids() -> None:
    async with serving("tcp-1=zeros") as server:
        link = ModbusTcpLink("127.0.0.1", server.port)
        for unit_id in (0, 99, 255):
            assert await link.transact(unit_id, 3, 0x1234, 5) == (0,) * 5
        assert await link.transact(1, *ENERGY) == PLAIN[1].words(*ENERGY, CLOCK.at_us)
        await link.close()
