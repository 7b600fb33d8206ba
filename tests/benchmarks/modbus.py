"""Modbus TCP, function 3 x 10 registers: ours, pymodbus and the limits, on both loops."""

import asyncio

from protocols.errors import HutongError
from tests.benchmarks.endpoints import endpoints
from tests.benchmarks.loops import loops
from tests.benchmarks.measure import Figure, measured
from tests.benchmarks.modbus_clients import CLIENTS, Connect, Read

COUNT = 4000
CONNECTIONS = (1, 50)
RUNS = 3


def run() -> list[Figure]:
    """Return CPU per transaction of the client; the server is a process of its own."""
    figures: list[Figure] = []
    with endpoints(1) as (port,):
        for name, factory in loops().items():
            if factory is None:
                figures.append(Figure("modbus", f"{name} not installed", 0))
                continue
            for connections in CONNECTIONS:
                where = f"{name}, {connections} connection{'s' * (connections > 1)}: "
                taken: dict[str, list[Figure]] = {client: [] for client in CLIENTS}
                # in turn, so that a slow moment of the machine does not hit one of them only
                for _ in range(RUNS):
                    for client, connect in CLIENTS.items():
                        with asyncio.Runner(loop_factory=factory) as runner:
                            measure = _measure(where + client, connect, port, connections)
                            taken[client].append(runner.run(measure))
                figures += _compared(
                    {
                        client: sorted(some, key=lambda figure: figure.cpu_us)[RUNS // 2]
                        for client, some in taken.items()
                    }
                )
    return figures


def _compared(figures: dict[str, Figure]) -> list[Figure]:
    ours = figures["native link"]
    limit, peer = figures["limit: raw protocol"].cpu_us, figures["pymodbus async"].cpu_us
    if ours.items:
        ours.more = f"limit x {ours.cpu_us / limit:.2f}, pymodbus / {peer / ours.cpu_us:.2f}"
    return list(figures.values())


async def _measure(what: str, connect: Connect, port: int, connections: int) -> Figure:
    try:
        clients = [await connect(port) for _ in range(connections)]
    except HutongError as error:
        return Figure("modbus", what, 0, more=f"failed: {error}")
    each = COUNT // connections
    await asyncio.gather(*(_read(client.read, 2) for client in clients))
    with measured("modbus", what, each * connections) as figure:
        await asyncio.gather(*(_read(client.read, each) for client in clients))
    for client in clients:
        await client.close()
    return figure


async def _read(read: Read, times: int) -> None:
    for _ in range(times):
        await read()
