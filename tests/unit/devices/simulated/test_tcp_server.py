"""The TCP gateway of the site, asked by another maker's client and by ours."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pymodbus.client import AsyncModbusTcpClient

from devices.modbus_meter import ModbusMeter
from devices.profile import load_profile, profiles_folder
from devices.simulated.faults import parse_fault
from devices.simulated.memory import MemoryLink
from devices.simulated.site import build_site, load_site
from devices.simulated.tcp_server import TcpServer
from devices.virtual_clock import VirtualClock
from protocols.errors import DeviceError, LinkError
from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.modbus.frames import Request, request_pdu, tcp_frame

SITE = load_site(profiles_folder().parent / "demo" / "qingsong-site.yaml")
CLOCK = VirtualClock(SITE.era.start_us + 30 * 86_400_000_000)
FAULTS = [
    parse_fault(text, launch_us=SITE.era.start_us) for text in ("e-1-103=silent", "e-1-201=offline")
]
METERS = build_site(SITE, faults=FAULTS).on_bus("tcp-1")


@pytest.fixture
async def server() -> AsyncIterator[TcpServer]:
    server = TcpServer(METERS, CLOCK, host="127.0.0.1", port=0)
    await server.start()
    yield server
    await server.close()


async def test_pymodbus_reads_the_same_words(server: TcpServer) -> None:
    client = AsyncModbusTcpClient("127.0.0.1", port=server.port, retries=0, timeout=2)
    assert await client.connect()
    energy = await client.read_input_registers(0x48, count=2, device_id=1)
    assert tuple(energy.registers) == METERS[1].words(4, 0x48, 2, CLOCK.at_us)
    master = await client.read_holding_registers(0x0A, count=2, device_id=41)
    assert tuple(master.registers) == METERS[41].words(3, 0x0A, 2, CLOCK.at_us)
    for unit_id, address, code in ((1, 0x4000, 2), (1, 0x49, 2), (99, 0, 11), (4, 0x101E, 11)):
        refused = await client.read_input_registers(address, count=2, device_id=unit_id)
        assert refused.isError()
        assert refused.exception_code == code
    written = await client.write_register(0, 1, device_id=1)
    assert written.exception_code == 1
    client.close()


async def test_our_link_reads_as_from_memory(server: TcpServer) -> None:
    link = ModbusTcpLink("127.0.0.1", server.port)
    memory = MemoryLink(METERS, CLOCK)
    for unit_id, profile in ((1, "eastron-sdm120"), (2, "eastron-sdm630"), (41, "acrel-adl400")):
        meter = ModbusMeter(load_profile(profile), unit_id, ["energy_import", "active_power"])
        assert await meter.read(link, CLOCK) == meter.read_now(memory.answer, CLOCK)
    await link.close()


async def test_faults_on_tcp(server: TcpServer) -> None:
    link = ModbusTcpLink("127.0.0.1", server.port, timeout_s=0.1)
    with pytest.raises(LinkError, match="unit 3 did not answer"):
        await link.transact(3, 4, 0x48, 2)
    with pytest.raises(DeviceError) as caught:
        await link.transact(4, 3, 0x101E, 2)
    assert caught.value.code == 11
    assert len(await link.transact(1, 4, 0x48, 2)) == 2
    await link.close()


async def test_pieces_and_several_at_once(server: TcpServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    frames = [tcp_frame(n, 1, request_pdu(Request(1, 4, 0x48, 2))) for n in (1, 2, 3)]
    for byte in frames[0]:
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(frames[1] + frames[2])
    answers = [await asyncio.wait_for(reader.readexactly(13), 2) for _ in frames]
    assert [int.from_bytes(answer[:2], "big") for answer in answers] == [1, 2, 3]
    assert len({answer[2:] for answer in answers}) == 1
    writer.write(b"GET / HTTP/1.1\r\n")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 2)
    writer.close()


async def test_a_port_in_use(server: TcpServer) -> None:
    with pytest.raises(LinkError, match="cannot listen"):
        await TcpServer(METERS, CLOCK, host="127.0.0.1", port=server.port).start()
