"""A cycle over many slow devices: 200 endpoints, 3 blocks each, 30 ms until one answers."""

import asyncio
import time

from protocols.errors import HutongError
from tests.benchmarks.endpoints import endpoints
from tests.benchmarks.loops import loops
from tests.benchmarks.measure import Figure, measured
from tests.benchmarks.modbus_clients import CLIENTS, Connect, Connected

DEVICES = 200
BLOCKS = 3
DELAY_S = 0.03
CYCLES = 7


def run() -> list[Figure]:
    """Return the cost of a block read; `more` has the median time of a whole cycle."""
    figures: list[Figure] = []
    with endpoints(DEVICES, delay_s=DELAY_S) as ports:
        for name, factory in loops().items():
            if factory is None:
                figures.append(Figure("cycle", f"{name} not installed", 0))
                continue
            for client, connect in CLIENTS.items():
                with asyncio.Runner(loop_factory=factory) as runner:
                    figures.append(runner.run(_measure(f"{name}: {client}", connect, ports)))
    return figures


async def _measure(what: str, connect: Connect, ports: list[int]) -> Figure:
    try:
        clients = [await connect(port) for port in ports]
    except HutongError as error:
        return Figure("cycle", what, 0, more=f"failed: {error}")
    took_s: list[float] = []
    with measured("cycle", what, CYCLES * DEVICES * BLOCKS) as figure:
        for _ in range(CYCLES):
            began = time.perf_counter()
            await asyncio.gather(*(_blocks(client) for client in clients))
            took_s.append(time.perf_counter() - began)
    for client in clients:
        await client.close()
    median_ms = 1000 * sorted(took_s)[CYCLES // 2]
    least_ms = 1000 * BLOCKS * DELAY_S
    figure.more = (
        f"cycle {median_ms:.1f} ms, {median_ms / least_ms:.2f} x the delay's {least_ms:.0f}"
    )
    return figure


async def _blocks(client: Connected) -> None:
    for _ in range(BLOCKS):
        await client.read()
