"""Every way to read ten registers over Modbus TCP, behind one shape."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pymodbus.client import AsyncModbusTcpClient

from protocols.io.modbus_tcp import ModbusTcpLink
from tests.benchmarks.raw_modbus import connect_raw, connect_streams

WORDS = 10

Read = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Connected:
    """A connection that reads, and how it is closed."""

    read: Read
    close: Callable[[], Awaitable[None]]


Connect = Callable[[int], Awaitable[Connected]]


async def raw(port: int) -> Connected:
    """A raw asyncio protocol: the limit."""
    client = await connect_raw(port, WORDS)

    async def close() -> None:
        client.close()

    return Connected(client.read, close)


async def streams(port: int) -> Connected:
    """Raw asyncio streams."""
    client = await connect_streams(port, WORDS)

    async def close() -> None:
        client.close()

    return Connected(client.read, close)


async def native(port: int) -> Connected:
    """Our link."""
    link = ModbusTcpLink("127.0.0.1", port)
    await link.transact(1, 3, 0, WORDS)
    return Connected(lambda: link.transact(1, 3, 0, WORDS), link.close)


async def pymodbus(port: int) -> Connected:
    """pymodbus' asyncio client."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()

    async def close() -> None:
        client.close()

    return Connected(lambda: client.read_holding_registers(0, count=WORDS, device_id=1), close)


CLIENTS: dict[str, Connect] = {
    "limit: raw protocol": raw,
    "raw streams": streams,
    "native link": native,
    "pymodbus async": pymodbus,
}
