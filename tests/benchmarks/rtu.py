"""Modbus RTU over a pty paced at its baud rate: the share of what the wire allows."""

import asyncio
import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from devices.profile import load_profile
from devices.simulated.meter import SimulatedMeter
from devices.simulated.rtu_server import RtuServer
from edge.clock import SystemClock
from protocols.io import backends
from protocols.modbus.wire import Wire
from tests.benchmarks.measure import Figure, measured

WORDS = 10
# baud: reads
BAUDS = {9600: 72, 115200: 400}
LIBRARIES = (backends.NATIVE, "minimalmodbus", "pymodbus")
START_S = 20


def run() -> list[Figure]:
    """Return the cost of a read; `more` has the reads per second as a share of the wire's limit."""
    figures: list[Figure] = []
    for baud, count in BAUDS.items():
        # the meter answers as soon as t3.5 tells it that the request has ended
        wire = Wire(baud=baud, turnaround_s=0.0)
        limit = 1 / wire.read_s(WORDS)
        figures.append(
            Figure("rtu", f"{baud}: limit of the wire", 1, 0, 1e6 / limit, f"{limit:.1f}/s")
        )
        figures += [_library(name, wire, count, limit) for name in LIBRARIES]
    return figures


def _library(name: str, wire: Wire, count: int, limit: float) -> Figure:
    here, there = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line"
        server = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(there, path, wire)
        )
        server.start()
        try:
            if not here.poll(START_S):
                message = "the line did not start in time"
                raise TimeoutError(message)
            here.recv()
            figure = asyncio.run(_measure(name, path, wire, count))
        finally:
            here.send("stop")
            hurried = here.recv() if here.poll(5) else "?"
            server.join(5)
    rate = 1e6 / figure.wall_us
    figure.more = f"{rate:.1f}/s, {rate / limit:.3f} of the limit, {hurried} of {count} hurried"
    return figure


async def _measure(name: str, path: Path, wire: Wire, count: int) -> Figure:
    link = backends.open_rtu(name, str(path), wire, timeout_s=1.0)
    await link.transact(1, 4, 0, WORDS)
    with measured("rtu", f"{wire.baud}: {name}", count) as figure:
        for _ in range(count):
            await link.transact(1, 4, 0, WORDS)
    await link.close()
    return figure


def _serve(pipe: Connection, path: Path, wire: Wire) -> None:
    asyncio.run(_serving(pipe, path, wire))


async def _serving(pipe: Connection, path: Path, wire: Wire) -> None:
    profile = load_profile("eastron-sdm630")
    meter = SimulatedMeter("e-1", profile, dict.fromkeys(profile.points, _steady))
    server = RtuServer({1: meter}, SystemClock(), path=path, wire=wire)
    await server.start()
    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    await server.close()
    pipe.send(server.hurried)


def _steady(_: int) -> int:
    return 1000
