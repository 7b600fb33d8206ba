"""The serial line of the site: paced, and read by our link and by minimalmodbus."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import minimalmodbus
import pytest

from devices.modbus_meter import ModbusMeter
from devices.profile import load_profile, profiles_folder
from devices.simulated.faults import parse_fault
from devices.simulated.memory import MemoryLink
from devices.simulated.rtu_server import RtuServer
from devices.simulated.site import build_site, load_site
from devices.virtual_clock import VirtualClock
from protocols.errors import DeviceError, LinkError
from protocols.io.modbus_rtu import ModbusRtuLink
from protocols.modbus.frames import Request, request_pdu, rtu_frame
from protocols.modbus.wire import Wire
from tests.unit.devices.simulated.raw_line import raw_line

SITE = load_site(profiles_folder().parent / "demo" / "qingsong-site.yaml")
CLOCK = VirtualClock(SITE.era.start_us + 30 * 86_400_000_000)
FAULTS = [
    parse_fault(text, launch_us=SITE.era.start_us) for text in ("w-1-102=silent", "w-1-103=offline")
]
METERS = build_site(SITE, faults=FAULTS).on_bus("rtu-1")
WIRE = Wire(baud=9600, turnaround_s=0.01)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RtuServer]:
    server = RtuServer(METERS, CLOCK, path=tmp_path / "bus" / "rtu-1", wire=WIRE)
    await server.start()
    yield server
    await server.close()
    assert not server.path.is_symlink()


async def test_our_link_reads_as_from_memory_at_the_wires_pace(server: RtuServer) -> None:
    meter = ModbusMeter(load_profile("xintai-water"), 1, ["total_positive", "flow_rate"], wire=WIRE)
    assert len(meter.blocks) == 1
    link = ModbusRtuLink(str(server.path), WIRE)
    expected = meter.read_now(MemoryLink(METERS, CLOCK).answer, CLOCK)
    began, reads = time.monotonic(), 6
    for _ in range(reads):
        assert await meter.read(link, CLOCK) == expected
    took = time.monotonic() - began
    each = WIRE.frame_s(8) + WIRE.turnaround_s + WIRE.frame_s(17)
    # The silence after the last answer is not waited for.
    assert took >= reads * each + (reads - 1) * WIRE.silence_s
    assert server.hurried == 0
    await link.close()


async def test_faults_on_a_serial_line_are_silence(server: RtuServer) -> None:
    link = ModbusRtuLink(str(server.path), WIRE, timeout_s=0.1)
    for unit_id in (2, 3, 200):
        with pytest.raises(LinkError):
            await link.transact(unit_id, 3, 1, 2)
    with pytest.raises(DeviceError) as caught:
        await link.transact(1, 3, 0x40, 2)
    assert caught.value.code == 2
    assert await link.transact(1, 3, 1, 6) == METERS[1].words(3, 1, 6, CLOCK.at_us)
    await link.close()


async def test_minimalmodbus_reads_the_same_words(server: RtuServer) -> None:
    def ask() -> tuple[list[int], float]:
        instrument = minimalmodbus.Instrument(str(server.path), 4)
        instrument.serial.baudrate = 9600
        instrument.serial.timeout = 1
        try:
            words = instrument.read_registers(1, 6, functioncode=3)
            # Its little-endian order without a swap is DCBA.
            total = instrument.read_float(1, byteorder=minimalmodbus.BYTEORDER_LITTLE)
        finally:
            instrument.serial.close()
        return words, total

    words, total = await asyncio.to_thread(ask)
    assert tuple(words) == METERS[4].words(3, 1, 6, CLOCK.at_us)
    meter = ModbusMeter(load_profile("xintai-water"), 4, ["total_positive"])
    (sample,) = meter.read_now(MemoryLink(METERS, CLOCK).answer, CLOCK)
    assert sample.value is not None
    assert total == pytest.approx(float(sample.value))


async def test_a_request_into_the_silence_is_noticed(tmp_path: Path) -> None:
    # so slow that its silence is longer than any hiccup of this machine
    server = RtuServer(METERS, CLOCK, path=tmp_path / "slow", wire=Wire(baud=1200))
    await server.start()
    frame = rtu_frame(1, request_pdu(Request(1, 3, 1, 2)))
    with raw_line(server.path) as line:
        for hurried in (0, 1):
            line.send(frame)
            await line.hear(9)
            assert server.hurried == hurried
        await asyncio.sleep(Wire(baud=1200).silence_s)
        line.send(frame)
        await line.hear(9)
    assert server.hurried == 1
    await server.close()


@pytest.mark.parametrize(
    ("wire", "heard"),
    [
        (Wire(baud=9600), True),
        (Wire(baud=19200), False),
        (Wire(baud=9600, stop_bits=2), False),
        (Wire(baud=9600, parity="O"), False),
        # a pty drops the parity bit itself
        (Wire(baud=9600, parity="E"), True),
    ],
)
async def test_only_a_client_on_the_same_line_is_heard(
    server: RtuServer, wire: Wire, *, heard: bool
) -> None:
    link = ModbusRtuLink(str(server.path), wire, timeout_s=0.15)
    if heard:
        assert await link.transact(1, 3, 1, 2) == METERS[1].words(3, 1, 2, CLOCK.at_us)
    else:
        with pytest.raises(LinkError, match="did not answer"):
            await link.transact(1, 3, 1, 2)
    await link.close()


async def test_a_file_in_the_way_stays(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("keep", encoding="utf-8")
    with pytest.raises(LinkError, match="cannot be made"):
        await RtuServer(METERS, CLOCK, path=path, wire=WIRE).start()
    assert path.read_text(encoding="utf-8") == "keep"
