"""Other makers at the other end: libmodbus' client on the site, pymodbus' server under our link."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.profile import profiles_folder
from devices.simulated.rtu_server import RtuServer
from devices.simulated.site import build_site, load_site
from devices.simulated.tcp_server import TcpServer
from devices.virtual_clock import VirtualClock
from protocols.errors import DeviceError
from protocols.io.modbus_rtu import ModbusRtuLink
from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.modbus.wire import Wire
from tests.fixtures.system_parts import free_port, program

SITE = load_site(profiles_folder().parent / "demo" / "qingsong-site.yaml")
CLOCK = VirtualClock(SITE.era.start_us + 30 * 86_400_000_000)
BUILT = build_site(SITE)
WIRE = Wire(baud=9600, turnaround_s=0.01)
DEADLINE_S = 20


async def mbpoll(*arguments: str) -> tuple[int, str]:
    """Exit status and output of one poll with zero-based addresses and values in hex."""
    client = await asyncio.create_subprocess_exec(
        program("mbpoll"),
        *("-0", "-1", "-q", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(client.communicate(), DEADLINE_S)
    except TimeoutError:
        client.kill()
        await client.wait()
        raise
    return client.returncode or 0, output.decode()


def words_in(output: str) -> tuple[int, ...]:
    """The words that mbpoll printed, as `[72]: 0x4366`."""
    return tuple(
        int(word, 16) for word in re.findall(r"^\[\d+\]:\s+0x([0-9A-F]+)", output, re.MULTILINE)
    )


@asynccontextmanager
async def pymodbus_server(device: SimDevice) -> AsyncIterator[int]:
    port = free_port()
    server = ModbusTcpServer(device, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        yield port
    finally:
        await server.shutdown()


@pytest.mark.parametrize(
    ("unit_id", "function", "address", "count"), [(1, 4, 0x48, 2), (2, 4, 0, 6), (41, 3, 0x0A, 2)]
)
async def test_mbpoll_reads_the_same_words_over_tcp(
    unit_id: int, function: int, address: int, count: int
) -> None:
    server = TcpServer(BUILT.on_bus("tcp-1"), CLOCK, host="127.0.0.1", port=0)
    await server.start()
    kind = "3:hex" if function == 4 else "4:hex"
    place = ("-a", str(unit_id), "-t", kind, "-r", str(address), "-c", str(count))
    status, output = await mbpoll("-m", "tcp", "-p", str(server.port), *place, "127.0.0.1")
    link = ModbusTcpLink("127.0.0.1", server.port)
    ours = await link.transact(unit_id, function, address, count)
    await link.close()
    await server.close()
    assert status == 0, output
    assert words_in(output) == ours
    assert len(ours) == count


async def test_mbpoll_is_refused_as_we_are() -> None:
    server = TcpServer(BUILT.on_bus("tcp-1"), CLOCK, host="127.0.0.1", port=0)
    await server.start()
    place = ("-a", "1", "-t", "3:hex", "-r", str(0x4000), "-c", "2")
    status, output = await mbpoll("-m", "tcp", "-p", str(server.port), *place, "127.0.0.1")
    await server.close()
    assert status != 0
    assert "Illegal data address" in output


async def test_mbpoll_reads_the_same_words_over_a_serial_line(tmp_path: Path) -> None:
    server = RtuServer(BUILT.on_bus("rtu-1"), CLOCK, path=tmp_path / "rtu-1", wire=WIRE)
    await server.start()
    line = ("-m", "rtu", "-b", "9600", "-P", "none")
    place = ("-a", "1", "-t", "4:hex", "-r", "1", "-c", "6")
    status, output = await mbpoll(*line, *place, str(server.path))
    link = ModbusRtuLink(str(server.path), WIRE)
    ours = await link.transact(1, 3, 1, 6)
    await link.close()
    await server.close()
    assert status == 0, output
    assert words_in(output) == ours


async def test_pymodbus_serves_our_link() -> None:
    words = [(7 * place) & 0xFFFF for place in range(200)]
    bits = [place % 3 == 0 for place in range(48)]
    device = SimDevice(
        id=5,
        simdata=(
            [SimData(0, values=bits, datatype=DataType.BITS)],
            [SimData(0, values=bits[::-1], datatype=DataType.BITS)],
            [SimData(0, values=words, datatype=DataType.REGISTERS)],
            [SimData(0, values=words[::-1], datatype=DataType.REGISTERS)],
        ),
    )
    async with pymodbus_server(device) as port:
        link = ModbusTcpLink("127.0.0.1", port)
        assert await link.transact(5, 3, 10, 125) == tuple(words[10:135])
        assert await link.transact(5, 4, 0, 3) == tuple(words[::-1][:3])
        assert await link.transact(5, 1, 0, 19) == tuple(map(int, bits[:19]))
        assert await link.transact(5, 2, 0, 48) == tuple(map(int, bits[::-1]))
        with pytest.raises(DeviceError) as caught:
            await link.transact(5, 3, 190, 20)
        assert caught.value.code == 2
        await link.close()
