"""A gateway whose disk is full while the broker is away: bills are cut as if nothing had been."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from cloud.database import open_engine
from cloud.ingest.tables import batches
from cloud.sites.tables import channels
from cloud.telemetry import chunk
from cloud.telemetry.tables import chunks
from edge.journal_losses import ids_of
from edge.journal_retention import ROOMY, STEP_MARK
from protocols.delivery import batch
from protocols.delivery.envelope import LANE_READINGS
from protocols.delivery.records import Event
from tests.benchmarks.catchup import start_ingest
from tests.e2e.chain_processes import (
    GATEWAY,
    ZONE,
    Chain,
    Installation,
    last_month,
    wait_for,
)
from tests.faults.served_values import check_served
from tests.faults.small_disks import fill_up, tmpfs
from tests.faults.test_kills import DEVICES

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

# so many that what thinning gives back is room enough to go on
DAYS = 45
PERIOD_S = 60
HOUR_US = 3_600_000_000
FULL_S = 60.0
LIVE = 5
# whose every reading is looked at
SEEN = frozenset({"e-1-101", "e-1-202"})

# device, point, instant
Key = tuple[str, str, int]


@dataclass(frozen=True)
class Before:
    """What the journal held before its disk was full: counts of some, rows of each batch."""

    counts: dict[Key, int | None]
    rows: dict[bytes, int]
    last_us: int


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """Give a gateway with days behind it on a disk of 8 MiB; there is no broker."""
    with tmpfs(tmp_path / "disk", 8) as folder:
        made = Chain(tmp_path / "chain", Installation(devices=DEVICES, period_s=1, commit_s=0.2))
        made.journal_file = folder / f"{GATEWAY}.journal"
        made.extra["edge"] = made.extra["backfill"] = {"HUTONG_DATA_DIR": str(folder)}
        try:
            made.start_site()
            made.import_project(last_month())
            since = datetime.now(ZONE) - timedelta(days=DAYS)
            made.backfill(since, period_s=PERIOD_S)
            made.start_edge()
            yield made
        finally:
            made.close()


def test_thinned_without_a_broker(chain: Chain) -> None:
    before = held(chain)
    _wait_live(chain)
    other = chain.journal_file.with_name("other")
    fill_up(other)
    wait_for(lambda: step(chain) not in (ROOMY, "grace"), FULL_S, "the ladder")
    _wait_live(chain)
    assert chain.is_alive("edge")
    chain.broker.start()
    start_ingest(chain)
    wait_for(lambda: chain.acknowledged() > 0, FULL_S, "the first deliveries")
    # nobody has made room yet, and all is delivered
    wait_for(lambda: chain.backlog() == 0, FULL_S, "the rest of the journal", every_s=0.01)
    other.unlink()
    wait_for(lambda: step(chain) == ROOMY, FULL_S, "room")
    wait_for(lambda: chain.backlog() == 0, FULL_S, "what was told of it", every_s=0.01)
    chain.kill("edge")
    engine = open_engine(chain.database_url)
    assert check_served(engine) > 0
    stored, rows = history(engine, before.last_us)
    check_hours(before.counts, stored)
    check_losses(engine, before, rows)
    engine.dispose()


def step(chain: Chain) -> str:
    """Return where the journal says that it stands on the ladder."""
    with chain.journal() as journal:
        row = journal.execute("SELECT value FROM marks WHERE key = ?", (STEP_MARK,)).fetchone()
    return ROOMY if row is None else str(row[0])


def held(chain: Chain) -> Before:
    """Return what the journal's sealed batches hold."""
    counts: dict[Key, int | None] = {}
    rows: dict[bytes, int] = {}
    last_us = 0
    with chain.journal() as journal:
        for name, payload in journal.execute("SELECT batch_id, payload FROM batches"):
            series = batch.decode(payload).series
            rows[name] = sum(len(columns.qualities) for columns in series)
            for columns in series:
                last_us = max(last_us, sum(columns.read_at_deltas))
                if columns.device in SEEN:
                    found = ((columns.device, columns.point, r) for r in batch.readings(columns))
                    counts |= {(device, point, r.read_at_us): r.count for device, point, r in found}
    return Before(counts, rows, last_us)


def history(engine: Engine, until_us: int) -> tuple[dict[Key, int | None], int]:
    """Return the counts of some that the cloud has, and how many rows of all until an instant."""
    stored: dict[Key, int | None] = {}
    rows = 0
    with engine.connect() as connection:
        names = {row.id: (row.device_id, row.point) for row in connection.execute(select(channels))}
        for row in connection.execute(select(chunks)):
            device, point = names[row.channel_id]
            found = [r for r in chunk.decode(row.data) if r.read_at_us <= until_us]
            assert len({r.read_at_us for r in found}) == len(found), f"{device} {point}: twice"
            rows += len(found)
            if device in SEEN:
                stored |= {(device, point, r.read_at_us): r.count for r in found}
    return stored, rows


def check_hours(before: dict[Key, int | None], stored: dict[Key, int | None]) -> None:
    """Of each channel the first and the last count of every hour are in the cloud."""
    hours: dict[tuple[str, str, int], list[int]] = {}
    for device, point, at_us in before:
        hours.setdefault((device, point, at_us // HOUR_US), []).append(at_us)
    assert len({hour for _, _, hour in hours}) >= 24 * DAYS
    for (device, point, _), instants in hours.items():
        for at_us in (min(instants), max(instants)):
            key = (device, point, at_us)
            assert stored[key] == before[key], key


def check_losses(engine: Engine, before: Before, stored: int) -> None:
    """What is not in the cloud was declared: by the ids of its batches, and to the very count."""
    with engine.connect() as connection:
        payloads = list(connection.scalars(select(batches.c.payload)))
    events: list[Event] = [event for body in payloads for event in batch.decode(body).events]
    losses = [e for e in events if e.kind == "loss" and e.body["lane"] == LANE_READINGS]
    assert any(event.kind == "journal_step" for event in events)
    named = {name for event in losses for name in ids_of(str(event.body["ids"]))}
    assert named
    assert all("thinned" in str(event.body["reason"]) for event in losses)
    missing = sum(before.rows.values()) - stored
    assert missing > 0
    # what was read since is younger than all that was thinned
    assert named <= before.rows.keys()
    assert sum(int(event.body["count"] or 0) for event in losses) == missing


def _wait_live(chain: Chain) -> None:
    """Wait until the gateway has committed some of what it reads now."""

    def newest() -> int:
        with chain.journal() as journal:
            return int(journal.execute("SELECT ifnull(max(id), 0) FROM tail").fetchone()[0])

    wanted = newest() + LIVE
    wait_for(lambda: newest() >= wanted, FULL_S, "what is read now", every_s=0.05)
