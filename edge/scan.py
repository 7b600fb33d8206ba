"""The search of a bus for meters: reads only, one at a time, over every unit id that is asked."""

import asyncio
import fcntl
import os
import termios
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.driver import Link
from edge import bootstrap
from edge.config import RtuBus, TcpBus
from edge.recognition import Edition
from edge.scan_unit import Found, Inquiry, Line
from protocols.errors import LinkError
from protocols.modbus.frames import Request, request_pdu, rtu_frame
from protocols.modbus.judge import judge_rtu


@dataclass(frozen=True, slots=True)
class Step:
    """A unit id is done; `found` if something answers there, `note` for what concerns its bus."""

    unit_id: int
    line: Line
    found: Found | None = None
    note: str = ""


async def search(
    line: Line, units: Sequence[int], editions: Sequence[Edition], *, gap_s: float
) -> AsyncGenerator[Step, None]:
    """A step per unit id; a TCP endpoint that speaks no MBAP is tried with RTU frames as well.

    `gap_s` is the pause that a unit gets before each further request. LinkError if the bus itself
    cannot be reached.
    """
    await _reach(line.bus)
    link = _link_to(line)
    mute = isinstance(line.bus, TcpBus) and not line.rtu_over_tcp
    try:
        for place, unit_id in enumerate(units):
            _check_plugged(line.bus)
            asked = Inquiry(link, line, unit_id, gap_s=gap_s)
            found = await asked.result(editions)
            mute = mute and asked.silent
            yield Step(unit_id, line, found)
            if mute and await _speaks_rtu(line.bus, unit_id):
                await link.close()
                async for step in _search_rtu_over_tcp(line, units[place:], editions, gap_s):
                    yield step
                return
    finally:
        await link.close()
    try:
        await _reach(line.bus)
    except LinkError as error:
        note = f"was reachable at first and is not at the end, units may be missing: {error}"
        yield Step(units[-1], line, None, note)


async def _search_rtu_over_tcp(
    line: Line, units: Sequence[int], editions: Sequence[Edition], gap_s: float
) -> AsyncGenerator[Step, None]:
    other = Line(line.bus, rtu_over_tcp=True)
    yield Step(units[0], other, None, "answers RTU frames over TCP, not Modbus TCP")
    async for step in search(other, units, editions, gap_s=gap_s):
        yield step


def _link_to(line: Line) -> Link:
    bus = line.bus
    if line.rtu_over_tcp and isinstance(bus, TcpBus):
        bus = bus.model_copy(update={"framing": "rtu"})
    return bootstrap.link_to(bus)


async def _reach(bus: TcpBus | RtuBus) -> None:
    if isinstance(bus, RtuBus):
        _check_port(bus.port)
        return
    try:
        async with asyncio.timeout(bus.timeout_ms / 1000):
            _, writer = await asyncio.open_connection(bus.host, bus.port)
    except (OSError, TimeoutError) as error:
        reason = "timed out" if isinstance(error, TimeoutError) else error
        message = f"{bus.host}:{bus.port}: no connection: {reason}"
        raise LinkError(message) from error
    writer.transport.abort()


def _check_plugged(bus: TcpBus | RtuBus) -> None:
    if isinstance(bus, RtuBus) and not Path(bus.port).exists():
        message = f"{bus.port}: is gone"
        raise LinkError(message)


def _check_port(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            termios.tcgetattr(fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(fd)
    except (OSError, termios.error) as error:
        reason = "another program has it" if isinstance(error, BlockingIOError) else error
        message = f"{path}: no serial line to scan: {reason}"
        raise LinkError(message) from error


async def _speaks_rtu(bus: TcpBus | RtuBus, unit_id: int) -> bool:
    if isinstance(bus, RtuBus):
        return False
    # Protocol 0 stands in an MBAP header: at this address the frame passes for no Modbus TCP.
    request = rtu_frame(unit_id, request_pdu(Request(unit_id, 3, 0x2006, 2)))
    writer = None
    try:
        async with asyncio.timeout(bus.timeout_ms / 1000):
            reader, writer = await asyncio.open_connection(bus.host, bus.port)
            writer.write(request)
            heard = b""
            while len(heard) < _LONGEST and (data := await reader.read(_LONGEST)):
                heard += data
                if judge_rtu(heard, request=request).verdict != "reject":
                    return True
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.transport.abort()
    return False


_LONGEST = 512
