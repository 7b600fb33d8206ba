"""The gateway on 100 meters of 10 values: poller and journal (FULL) flat out, and at 1 Hz."""

import asyncio
import multiprocessing
import os
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import chdir, closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from edge import bootstrap
from edge.clock import SystemClock
from edge.config import Settings, load
from edge.journal_schema import decode_tail
from edge.recorder import Recorder
from protocols.delivery.records import Reading
from tests.benchmarks.endpoints import endpoints
from tests.benchmarks.gateway_site import COMMIT_S, METERS, VALUES, write_site
from tests.benchmarks.measure import Figure, measured
from tests.benchmarks.raw_modbus import RawClient, connect_raw

LIMIT_READS = 20_000
WARM_S = 2.0
FLAT_OUT_S = 8.0
STEADY_S = 15.0
LOOK_S = 0.005
PATIENCE_S = 60


def run() -> list[Figure]:
    """Return CPU per reading of the gateway; the meters are a process of their own."""
    with endpoints(METERS) as ports, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_site(folder, ports)
        return [
            asyncio.run(_limit(ports)),
            _flat_out(folder, config),
            _steady(folder, config),
        ]


async def _limit(ports: list[int]) -> Figure:
    """Raw clients that unpack the words and forget them."""
    clients = [await connect_raw(port, 2 * VALUES) for port in ports]
    reads = LIMIT_READS // len(clients)

    async def read(client: RawClient) -> None:
        for _ in range(reads):
            await client.read()

    with measured("gateway", "limit: raw reads, nothing kept", LIMIT_READS * VALUES) as figure:
        await asyncio.gather(*(read(client) for client in clients))
    for client in clients:
        client.close()
    figure.more = f"{1e6 / figure.wall_us:,.0f} readings/s"
    return figure


def _flat_out(folder: Path, config: Path) -> Figure:
    # A period is a second or more, so the schedule is left out: the pollers poll back to back.
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=_drive, args=(there, folder, config)
    )
    child.start()
    try:
        if not here.poll(PATIENCE_S):
            message = "the gateway did not answer in time"
            raise TimeoutError(message)
        figure: Figure = here.recv()
    finally:
        child.terminate()
        child.join(5)
    return figure


def _drive(pipe: Connection, folder: Path, config: Path) -> None:
    with chdir(folder):
        pipe.send(asyncio.run(poll_flat_out(config, folder / "flat-out")))


async def poll_flat_out(config: Path, data: Path) -> Figure:
    """Poll every meter back to back into a journal under `data`; cost per committed reading."""
    loaded = load(config)
    journal = bootstrap.open_journal(loaded, Settings(data_dir=data))
    recorder = Recorder(journal, commit_s=COMMIT_S, online=lambda: True, sealed=lambda: None)
    clock = SystemClock(trusted=True)
    pollers = [bootstrap.poller_of(loaded, bus, recorder, clock) for bus in loaded.buses]
    devices = [loaded.on_bus(bus.id)[0].id for bus in loaded.buses]

    async def poll(number: int) -> None:
        while True:
            await pollers[number].poll(devices[number])

    tasks = [
        asyncio.create_task(recorder.run()),
        *(asyncio.create_task(poll(number)) for number in range(len(pollers))),
    ]
    await asyncio.sleep(WARM_S)
    before, rss = _committed(journal.path), _rss_mb(os.getpid())
    with measured("gateway", "flat out: pollers back to back", 1) as figure:
        await asyncio.sleep(FLAT_OUT_S)
        await recorder.flush(seal=True)
    count = _committed(journal.path) - before
    figure.items = count
    figure.cpu_us /= count
    figure.wall_us /= count
    growth = _rss_mb(os.getpid()) - rss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figure.more = (
        f"{1e6 / figure.wall_us:,.0f} readings/s, {1e6 / figure.cpu_us:,.0f} per core second;"
        f" RSS {rss + growth:.1f} MB, {growth:+.1f} in {FLAT_OUT_S:.0f} s, peak {peak:.1f}"
    )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    journal.close()
    return figure


def _committed(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        (count,) = database.execute(
            "SELECT (SELECT total(records) FROM batches) + (SELECT total(records) FROM tail)"
        ).fetchone()
    return int(count)


def _steady(folder: Path, config: Path) -> Figure:
    data = folder / "steady"
    # nobody listens at port 9: the gateway is offline and keeps what it reads
    settings = {"HUTONG_DATA_DIR": str(data), "HUTONG_MQTT_URL": "mqtt://127.0.0.1:9"}
    program = Path(sys.executable).with_name("hutong-edge")
    with (folder / "gateway.log").open("wb") as log:
        gateway = subprocess.Popen(
            [program, "run", "--config", config],
            cwd=folder,
            env=os.environ | settings,
            stdout=log,
            stderr=log,
        )
    try:
        return _watched(gateway, data / "gw-bench.journal")
    finally:
        gateway.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            gateway.wait(10)
        gateway.kill()


def _watched(gateway: "subprocess.Popen[bytes]", journal: Path) -> Figure:
    deadline = time.monotonic() + PATIENCE_S
    while not _has_tail(journal):
        if time.monotonic() > deadline or gateway.poll() is not None:
            message = "the gateway wrote no reading in time"
            raise TimeoutError(message)
        time.sleep(0.1)
    # polls begin with the wall clock's second: between two of them
    time.sleep(WARM_S + (1.5 - time.time() % 1) % 1)
    figure = Figure("gateway", "hutong-edge run, 1,000 readings/s", 0)
    rss, cpu, began = _rss_mb(gateway.pid), _cpu_s(gateway.pid), time.monotonic()
    ages = _ages_ms(journal, began + STEADY_S)
    took_s, busy_s = time.monotonic() - began, _cpu_s(gateway.pid) - cpu
    figure.items = len(ages)
    figure.cpu_us = busy_s / len(ages) * 1e6
    figure.wall_us = took_s / len(ages) * 1e6
    last = _rss_mb(gateway.pid)
    figure.more = (
        f"{len(ages) / took_s:,.0f} readings/s, {busy_s / took_s:.1%} of a core; read to committed"
        f" p50 {statistics.median(ages):.0f} ms, most {max(ages):.0f}, with commits every"
        f" {1000 * COMMIT_S:.0f}; RSS {last:.1f} MB, {last - rss:+.1f} in {STEADY_S:.0f} s"
    )
    return figure


def _has_tail(journal: Path) -> bool:
    if not journal.is_file():
        return False
    with closing(sqlite3.connect(journal)) as database, suppress(sqlite3.OperationalError):
        return bool(database.execute("SELECT count(*) FROM tail").fetchone()[0])
    return False


def _ages_ms(journal: Path, until: float) -> list[float]:
    """How old each reading was when its commit was seen, at most `LOOK_S` late."""
    ages: list[float] = []
    with closing(sqlite3.connect(journal)) as database:
        (seen,) = database.execute("SELECT max(id) FROM tail").fetchone()
        while time.monotonic() < until:
            rows = database.execute("SELECT id, body FROM tail WHERE id > ?", (seen,)).fetchall()
            now_us = time.time_ns() / 1000
            for identity, body in rows:
                readings = [row for row in decode_tail(body) if isinstance(row, Reading)]
                ages += [(now_us - reading.read_at_us) / 1000 for reading in readings]
                seen = identity
            time.sleep(LOOK_S)
    return ages


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_s(pid: int) -> float:
    # the name in brackets may hold blanks: the fields are counted from behind it
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
