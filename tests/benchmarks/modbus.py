"""Modbus TCP, function 3 x 10 registers, one connection: ours, pymodbus and raw asyncio."""

import asyncio
import multiprocessing
from multiprocessing.connection import Connection

from pymodbus.client import AsyncModbusTcpClient

from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.modbus.frames import Request, request_pdu, tcp_frame
from tests.benchmarks.measure import Figure, measured

COUNT = 3000
WORDS = 10


def run() -> list[Figure]:
    """Return CPU per transaction of the client; the server is a process of its own."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,))
    server.start()
    try:
        port = here.recv()
        return asyncio.run(_measure(port))
    finally:
        here.send("stop")
        server.join(5)


async def _measure(port: int) -> list[Figure]:
    link = ModbusTcpLink("127.0.0.1", port)
    await link.transact(1, 3, 0, WORDS)
    with measured("modbus", "native link", COUNT) as ours:
        for _ in range(COUNT):
            await link.transact(1, 3, 0, WORDS)
    await link.close()
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    await client.read_holding_registers(0, count=WORDS, device_id=1)
    with measured("modbus", "pymodbus async", COUNT) as peer:
        for _ in range(COUNT):
            await client.read_holding_registers(0, count=WORDS, device_id=1)
    client.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with measured("modbus", "limit: raw asyncio streams", COUNT) as limit:
        for number in range(COUNT):
            writer.write(_request(number))
            await reader.readexactly(9 + 2 * WORDS)
    writer.close()
    ours.more = f"pymodbus / {peer.cpu_us / ours.cpu_us:.1f}"
    return [limit, ours, peer]


def _request(transaction: int) -> bytes:
    request = Request(1, 3, 0, WORDS)
    return tcp_frame(transaction & 0xFFFF, 1, request_pdu(request))


def _serve(pipe: Connection) -> None:
    asyncio.run(_serving(pipe))


async def _serving(pipe: Connection) -> None:
    body = bytes(range(2 * WORDS))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = await reader.readexactly(12)
                head = asked[:4] + (3 + len(body)).to_bytes(2, "big") + asked[6:8]
                writer.write(head + bytes([len(body)]) + body)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)
    server.close()
