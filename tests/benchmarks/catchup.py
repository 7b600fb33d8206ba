"""Catching up after an outage: the real uplink, a real Mosquitto, `hutong-cloud ingest`."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from cloud.database import open_engine
from cloud.ingest.tables import batches, envelopes, lanes
from edge.journal import Journal
from protocols.delivery import batch
from protocols.delivery.envelope import LANE_READINGS
from tests.benchmarks.catchup_gateway import CONNECTED
from tests.benchmarks.measure import Figure
from tests.benchmarks.postgres import cluster
from tests.benchmarks.readings import MINUTE_US, Moving
from tests.e2e.chain_processes import GATEWAY, Chain, Installation, Part, last_month, wait_for
from tests.fixtures.databases import fresh_postgres

DEVICES = 250
POINTS = 2 * DEVICES
GOAL = 460_800
FIVE_DAYS = 5 * 1440 * POINTS
PATIENCE_S = 300.0
# the minute 0 of `Moving`
FIRST_US = 1_790_000_000_000_000
LOOK_S = 0.02
GROUP = 30
PARTS: tuple[Part, ...] = ("edge", "ingest")


@dataclass
class Drain:
    """How one drain went: the time and lags in seconds, CPU seconds and peak MB by part."""

    took_s: float = 0.0
    lags_s: list[float] = field(default_factory=list)
    cpu_s: dict[Part, float] = field(default_factory=dict)
    peak_mb: dict[Part, float] = field(default_factory=dict)


def run() -> list[Figure]:
    """Return the cost per reading of draining an outage into SQLite and into PostgreSQL."""
    figures = [_outage("SQLite", GOAL)]
    try:
        with cluster() as server, fresh_postgres(server) as url:
            figures.append(_outage("PostgreSQL", GOAL, url=url))
    except pytest.skip.Exception as reason:
        figures.append(Figure("catchup", f"PostgreSQL: {reason}", 0))
    return figures


def fill(path: Path, readings: int, *, devices: int = DEVICES) -> int:
    """Make a journal of an outage that ends now, a batch a minute; return its last place."""
    minutes = -(-readings // (2 * devices))
    now = (time.time_ns() // 1000 - FIRST_US) // MINUTE_US
    estate = Moving(devices)
    groups = [
        (FIRST_US + minute * MINUTE_US, estate.minute(minute))
        for minute in range(now - minutes, now)
    ]
    groups[-1] = (groups[-1][0], groups[-1][1][: readings - 2 * devices * (minutes - 1)])
    journal = Journal(path, GATEWAY)
    for start in range(0, minutes, GROUP):
        journal.append_sealed(LANE_READINGS, groups[start : start + GROUP], {})
    last = journal.status(LANE_READINGS).next - 1
    journal.close()
    return last


def start_gateway(chain: Chain) -> None:
    """Start the uplink of the chain's journal as a process of its own."""
    arguments = ["-m", "tests.benchmarks.catchup_gateway", str(chain.journal_file), GATEWAY]
    chain._spawn("edge", Path(sys.executable).name, *arguments, chain.broker.url)


def start_ingest(chain: Chain) -> None:
    """Start an ingest worker and wait until the broker has it."""
    before = _clients(chain.broker.port)
    chain.start_ingest()
    # a HELLO that nobody hears is said again only after half a minute
    wait_for(lambda: _clients(chain.broker.port) > before, 30, "the ingest worker", every_s=0.05)


def _outage(database: str, readings: int, *, url: str = "") -> Figure:
    with tempfile.TemporaryDirectory() as name, _installed(Path(name), url) as chain:
        last = fill(chain.journal_file, readings)
        files = chain.folder.glob(f"{GATEWAY}.journal*")
        size = sum(path.stat().st_size for path in files)
        start_gateway(chain)
        connected = f"{CONNECTED}\n".encode()
        wait_for(lambda: connected in chain._log("edge").read_bytes(), 60, "the uplink")
        engine = open_engine(chain.database_url)
        drain = _watched(chain, engine, last)
        engine.dispose()
    edge_us, ingest_us = (drain.cpu_s[part] / readings * 1e6 for part in PARTS)
    lags = sorted(drain.lags_s)
    what = f"{database}: {readings:,} readings"
    figure = Figure("catchup", what, readings, edge_us + ingest_us)
    figure.wall_us = drain.took_s / readings * 1e6
    figure.more = (
        f"{drain.took_s:.1f} s, {readings / drain.took_s:,.0f} readings/s; live p50"
        f" {1000 * statistics.median(lags):.0f} ms, p99 {1000 * lags[int(0.99 * len(lags))]:.0f},"
        f" most {1000 * lags[-1]:.0f} of {len(lags)}; CPU us/reading gateway {edge_us:.2f}, ingest"
        f" {ingest_us:.2f}; peak RSS gateway {drain.peak_mb['edge']:.0f} MB, ingest"
        f" {drain.peak_mb['ingest']:.0f}; journal {size / readings:.2f} B/reading"
    )
    return figure


@contextmanager
def _installed(folder: Path, url: str) -> Iterator[Chain]:
    chain = Chain(folder, Installation(database_url=url))
    try:
        chain.broker.start()
        chain.import_project(last_month())
        start_ingest(chain)
        yield chain
    finally:
        chain.close()


def _watched(chain: Chain, engine: Engine, last: int) -> Drain:
    """Look into the cloud's database until the outage, and all that was read in it, is stored."""
    drain = Drain()
    pids = {part: chain._running[part].process.pid for part in PARTS}
    began, before = time.monotonic(), {part: _cpu_s(pid) for part, pid in pids.items()}
    seen, floor, drained_us = {last}, last, 0
    lags: dict[int, int] = {}
    # every live reading of the drain counts, also those that were stored only after it
    while not drained_us or max(lags, default=0) <= drained_us or len(seen) != floor - last + 1:
        time.sleep(LOOK_S)
        through, live = _look(engine, floor)
        now_us = time.time_ns() // 1000
        for seq, payload in live:
            if seq not in seen:
                seen.add(seq)
                for columns in batch.decode(payload).series:
                    lags |= {r.read_at_us: now_us - r.read_at_us for r in batch.readings(columns)}
        while floor + 1 in seen:
            floor += 1
        if not drained_us and through >= last:
            drained_us, drain.took_s = now_us, time.monotonic() - began
            drain.cpu_s = {part: _cpu_s(pid) - before[part] for part, pid in pids.items()}
            drain.peak_mb = {part: _peak_mb(pid) for part, pid in pids.items()}
        if time.monotonic() - began > PATIENCE_S:
            message = f"{through} of {last} batches were stored in {PATIENCE_S:.0f} s"
            raise TimeoutError(message)
    drain.lags_s = [lag / 1e6 for at_us, lag in lags.items() if at_us <= drained_us]
    return drain


def _look(engine: Engine, floor: int) -> tuple[int, list[tuple[int, bytes]]]:
    """Return the watermark of the readings, and the batches (seq, payload) after `floor`."""
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        # readings of one gateway: there is no other lane of this number
        through = reader.scalar(
            select(func.max(lanes.c.through)).where(lanes.c.lane == LANE_READINGS)
        )
        rows = reader.execute(
            select(envelopes.c.seq, batches.c.payload)
            .join(batches, batches.c.batch_id == envelopes.c.batch_id)
            .where(envelopes.c.lane == LANE_READINGS, envelopes.c.seq > floor)
        )
        return through or 0, [(row.seq, row.payload) for row in rows]


def _clients(port: int) -> int:
    # /proc/net/tcp: local address, remote address in hex, 01 is established
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(item[1].endswith(f":{port:04X}") and item[3] == "01" for item in fields)


def _cpu_s(pid: int) -> float:
    # the name in brackets may hold blanks: the fields are counted from behind it
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    # `python -m tests.benchmarks.catchup` drains five days, which take minutes to write
    long = _outage("SQLite", FIVE_DAYS)
    sys.stdout.write(f"{long.what}: {long.more}\n")
