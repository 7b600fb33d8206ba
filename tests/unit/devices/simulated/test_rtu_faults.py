"""Faults of meters on a serial line, as bytes on the pty."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devices.profile import profiles_folder
from devices.simulated.faults import parse_fault
from devices.simulated.rtu_server import RtuServer
from devices.simulated.servers import servers_of
from devices.simulated.site import build_site, load_site
from devices.virtual_clock import VirtualClock
from protocols.errors import LinkError, WireError
from protocols.io.modbus_rtu import ModbusRtuLink
from protocols.modbus.frames import (
    Request,
    find_rtu,
    match_rtu,
    parse_rtu_request,
    request_pdu,
    rtu_frame,
)
from protocols.modbus.wire import Wire
from tests.unit.devices.simulated.raw_line import RawLine, raw_line

SITE = load_site(profiles_folder().parent / "demo" / "qingsong-site.yaml")
CLOCK = VirtualClock(SITE.era.start_us + 30 * 86_400_000_000)
PLAIN = build_site(SITE).on_bus("rtu-1")
WIRE = Wire(baud=9600, turnaround_s=0.01)
TOTAL = (3, 1, 2)
LENGTH = 9


@asynccontextmanager
async def serving(path: Path, *texts: str) -> AsyncIterator[RtuServer]:
    site = build_site(
        SITE, faults=[parse_fault(text, launch_us=SITE.era.start_us) for text in texts]
    )
    server = servers_of(site, CLOCK, pty=path / "rtu-1")["rtu-1"]
    assert isinstance(server, RtuServer)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def request(unit_id: int) -> Request:
    return Request(unit_id, *TOTAL)


def ask(line: RawLine, unit_id: int) -> None:
    line.send(rtu_frame(unit_id, request_pdu(request(unit_id))))


def right(unit_id: int) -> tuple[int, ...]:
    return PLAIN[unit_id].words(*TOTAL, CLOCK.at_us)


async def test_a_late_reply_comes_after_another_ones(tmp_path: Path) -> None:
    async with serving(tmp_path, "w-1-101=late:300") as server:
        with raw_line(server.path) as line:
            began = time.monotonic()
            ask(line, 1)
            await asyncio.sleep(0.03)
            ask(line, 2)
            assert match_rtu(await line.hear(LENGTH), request(2)) == right(2)
            assert match_rtu(await line.hear(LENGTH), request(1)) == right(1)
            assert time.monotonic() - began >= 0.3 + WIRE.frame_s(8 + LENGTH)
            for unit_id in (1, 2):
                ask(line, unit_id)
                assert match_rtu(await line.hear(LENGTH), request(unit_id)) == right(unit_id)


async def test_slow_and_quick(tmp_path: Path) -> None:
    asked = [
        parse_fault(text, launch_us=SITE.era.start_us)
        for text in ("w-1-101=slow:1200", "w-1-102=quick")
    ]
    meters = build_site(SITE, faults=asked).on_bus("rtu-1")
    thinks = Wire(baud=9600, turnaround_s=0.4)
    on_the_wire_s = thinks.frame_s(8 + LENGTH)
    server = RtuServer(meters, CLOCK, path=tmp_path / "rtu-1", wire=thinks)
    await server.start()
    took = {}
    with raw_line(server.path) as line:
        for unit_id in (1, 2, 3):
            began = time.monotonic()
            ask(line, unit_id)
            assert match_rtu(await line.hear(LENGTH), request(unit_id)) == right(unit_id)
            took[unit_id] = time.monotonic() - began
    await server.close()
    assert took[1] >= on_the_wire_s + 1.2
    assert on_the_wire_s <= took[2] < on_the_wire_s + 0.4 <= took[3]


async def test_a_meter_that_wants_a_pause(tmp_path: Path) -> None:
    async with serving(tmp_path, "w-1-101=pause:300") as server:
        with raw_line(server.path) as line:
            ask(line, 1)
            assert match_rtu(await line.hear(LENGTH), request(1)) == right(1)
            await asyncio.sleep(0.01)
            ask(line, 1)
            with pytest.raises(TimeoutError):
                await line.hear(1, within_s=0.1)
            ask(line, 2)
            assert match_rtu(await line.hear(LENGTH), request(2)) == right(2)
            await asyncio.sleep(0.3)
            ask(line, 1)
            assert match_rtu(await line.hear(LENGTH), request(1)) == right(1)


async def test_polled_too_fast_it_goes_mute(tmp_path: Path) -> None:
    async with serving(tmp_path, "w-1-101=reboots:60000") as server:
        link = ModbusRtuLink(str(server.path), WIRE, timeout_s=0.08)
        for _ in range(2):
            assert await link.transact(1, *TOTAL) == right(1)
        with pytest.raises(LinkError, match="unit 1 did not answer"):
            await link.transact(1, *TOTAL)
        assert await link.transact(2, *TOTAL) == right(2)
        await link.close()


async def test_bytes_before_the_reply_are_passed_over(tmp_path: Path) -> None:
    async with serving(tmp_path, "w-1-101=stray-byte") as server:
        with raw_line(server.path) as line:
            ask(line, 1)
            heard = await line.hear(1 + LENGTH)
            assert heard[0] == 0
            assert match_rtu(heard[1:], request(1)) == right(1)
        link = ModbusRtuLink(str(server.path), WIRE)
        assert await link.transact(1, *TOTAL) == right(1)
        await link.close()


@pytest.mark.parametrize("kind", ["wrong-unit", "spoiled", "duplicate"])
async def test_our_link_takes_no_wrong_frame(tmp_path: Path, kind: str) -> None:
    async with serving(tmp_path, f"w-1-101={kind}") as server:
        link = ModbusRtuLink(str(server.path), WIRE, timeout_s=0.2)
        for _ in range(2):
            with pytest.raises(WireError):
                await link.transact(1, *TOTAL)
        assert await link.transact(2, *TOTAL) == right(2)
        await link.close()


async def test_drift_spoils_only_long_frames(tmp_path: Path) -> None:
    async with serving(tmp_path, "w-1-101=drift") as server:
        with raw_line(server.path) as line:
            ask(line, 1)
            assert match_rtu(await line.hear(LENGTH), request(1)) == right(1)
            long = Request(1, 3, 1, 13)
            found = set()
            for _ in range(4):
                await asyncio.sleep(0.01)
                line.send(rtu_frame(1, request_pdu(long)))
                found.add(find_rtu(await line.hear(5 + 26), long))
    assert None in found
    assert found <= {None, PLAIN[1].words(3, 1, 13, CLOCK.at_us)}


async def test_another_master_is_heard_between_our_frames(tmp_path: Path) -> None:
    async with serving(tmp_path, "rtu-1=foreign-master") as server:
        with raw_line(server.path) as line:
            asked = await line.hear(8)
            assert parse_rtu_request(asked) == Request(200, 3, 0, 2)
            began = time.monotonic()
            # into its exchange: our meter waits until that is over
            ask(line, 1)
            words = match_rtu(await line.hear(9), Request(200, 3, 0, 2))
            assert all(2200 <= word < 2300 for word in words)
            assert match_rtu(await line.hear(LENGTH), request(1)) == right(1)
            assert parse_rtu_request(await line.hear(8)) == Request(200, 3, 0, 2)
            assert time.monotonic() - began >= 0.3 - 0.02
        link = ModbusRtuLink(str(server.path), WIRE)
        until = time.monotonic() + 0.7
        while time.monotonic() < until:
            assert await link.transact(1, *TOTAL) == right(1)
        await link.close()


@pytest.mark.parametrize("line", ["19200E1", "9600N2", "9600O1"])
async def test_meters_on_another_line(tmp_path: Path, line: str) -> None:
    theirs = Wire(baud=int(line[:-2]), parity=line[-2], stop_bits=int(line[-1]))
    async with serving(tmp_path, f"rtu-1=line:{line}") as server:
        for wire, heard in ((WIRE, False), (theirs, True)):
            link = ModbusRtuLink(str(server.path), wire, timeout_s=0.1)
            if heard:
                assert await link.transact(1, *TOTAL) == right(1)
            else:
                with pytest.raises(LinkError, match="unit 1 did not answer"):
                    await link.transact(1, *TOTAL)
            await link.close()


async def test_the_line_is_changed_back(tmp_path: Path) -> None:
    async with serving(tmp_path, "rtu-1=line:2400N1@0,60") as server:
        with raw_line(server.path) as line:
            ask(line, 1)
            assert match_rtu(await line.hear(LENGTH), request(1)) == right(1)


async def test_zeros_for_absent_unit_ids(tmp_path: Path) -> None:
    async with serving(tmp_path, "rtu-1=zeros", "w-1-102=offline") as server:
        link = ModbusRtuLink(str(server.path), WIRE, timeout_s=0.1)
        for unit_id in (13, 247):
            assert await link.transact(unit_id, 3, 0x1234, 3) == (0, 0, 0)
        assert await link.transact(1, *TOTAL) == right(1)
        with pytest.raises(LinkError):
            await link.transact(2, *TOTAL)
        await link.close()


async def test_closing_ends_every_task(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with serving(tmp_path, "rtu-1=foreign-master", "w-1-101=late:60000") as server:
        with raw_line(server.path) as line:
            ask(line, 1)
            await asyncio.sleep(0.05)
            assert {"foreign master", "rtu reply 1"} <= {t.get_name() for t in asyncio.all_tasks()}
    assert asyncio.all_tasks() == before
