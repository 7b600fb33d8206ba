"""libmodbus' server and its faults under our links: over TCP, and over a pair of serial ports."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from protocols.errors import DeviceError, LinkError, WireError
from protocols.io.link import ModbusLink
from protocols.io.modbus_rtu import ModbusRtuLink
from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.modbus.wire import Wire
from tests.fixtures.libmodbus_server import Running, build, constants
from tests.fixtures.system_parts import free_port, program

UNIT_ID = 17
DEADLINE_S = 10
# the server's line, as its example has it
WIRE = Wire(baud=115200)


@pytest.fixture(params=["tcp", "rtu"])
async def link(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ModbusLink]:
    port, near, far = free_port(), tmp_path / "near", tmp_path / "far"
    server = build(tmp_path, tcp_port=port, serial_port=far)
    if request.param == "tcp":
        async with Running(str(server), "tcp"):
            await reachable(port)
            made: ModbusLink = ModbusTcpLink("127.0.0.1", port, timeout_s=0.3)
            yield made
            await made.close()
        return
    ends = (f"pty,raw,echo=0,link={near}", f"pty,raw,echo=0,link={far}")
    async with Running(program("socat"), *ends):
        await until(lambda: near.exists() and far.exists())
        async with Running(str(server), "rtu"):
            made = ModbusRtuLink(str(near), WIRE, timeout_s=0.3)
            await answering(made)
            yield made
            await made.close()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def reachable(port: int) -> None:
    """Wait for the server to listen; it takes one connection only, so none may be tried."""
    line = f"0100007F:{port:04X} 00000000:0000 0A"
    await until(lambda: line in Path("/proc/net/tcp").read_text(encoding="ascii"))


async def answering(link: ModbusLink) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            await link.transact(UNIT_ID, 4, constants()["UT_INPUT_REGISTERS_ADDRESS"], 1)
        except LinkError:
            assert time.monotonic() < deadline
        else:
            return


async def test_values_and_refusals(link: ModbusLink) -> None:
    known = constants()
    words = await link.transact(UNIT_ID, 4, known["UT_INPUT_REGISTERS_ADDRESS"], 1)
    assert words == (0x000A,)
    bits = await link.transact(UNIT_ID, 2, known["UT_INPUT_BITS_ADDRESS"], 22)
    assert bits == tuple(0x35DBAC >> place & 1 for place in range(22))
    words = await link.transact(UNIT_ID, 3, known["UT_REGISTERS_ADDRESS"], 3)
    assert words == (0, 0, 0)
    for address, count, code in (
        (known["UT_REGISTERS_ADDRESS_SPECIAL"], 1, 6),
        (known["UT_REGISTERS_ADDRESS"] + known["UT_REGISTERS_NB_MAX"], 1, 2),
    ):
        with pytest.raises(DeviceError) as caught:
            await link.transact(UNIT_ID, 3, address, count)
        assert caught.value.code == code


async def test_fewer_words_than_asked_are_not_taken(link: ModbusLink) -> None:
    known = constants()
    with pytest.raises((WireError, LinkError)):
        await link.transact(
            UNIT_ID, 3, known["UT_REGISTERS_ADDRESS"], known["UT_REGISTERS_NB_SPECIAL"]
        )


async def test_an_answer_with_a_wrong_transaction_or_unit_is_not_taken(link: ModbusLink) -> None:
    address = constants()["UT_REGISTERS_ADDRESS_INVALID_TID_OR_SLAVE"]
    with pytest.raises((WireError, LinkError)):
        await link.transact(UNIT_ID, 3, address, 1)


async def test_an_answer_after_half_a_second_is_late_or_waited_for(link: ModbusLink) -> None:
    address = constants()["UT_REGISTERS_ADDRESS_SLEEP_500_MS"]
    assert await link.transact(UNIT_ID, 3, address, 1, patience_s=1.0) == (0,)
    with pytest.raises(LinkError):
        await link.transact(UNIT_ID, 3, address, 1)
    if isinstance(link, ModbusRtuLink):
        # what was late is not taken for an input register, nor for any other
        words = await link.transact(UNIT_ID, 4, constants()["UT_INPUT_REGISTERS_ADDRESS"], 1)
        assert words == (0x000A,)
        assert link.counts.late == 1


@pytest.mark.parametrize("link", ["tcp"], indirect=True)
async def test_an_answer_byte_by_byte_is_taken(link: ModbusLink) -> None:
    address = constants()["UT_REGISTERS_ADDRESS_BYTE_SLEEP_5_MS"]
    # the server writes these bytes for unit 255, whoever was asked
    assert await link.transact(255, 3, address, 1) == (0,)
