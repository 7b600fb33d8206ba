"""Several ingest workers on one subscription: killed at any time, ended by what they read."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from cloud.ingest import attempts, careful, quarantine
from cloud.ingest.attempt_tables import ingest_attempts, ingest_runs
from cloud.ingest.attempts import LIMIT
from cloud.ingest.careful import Committer
from cloud.ingest.service import DEADLY, Incoming, Outcome
from cloud.ingest.tables import batches, envelopes
from edge.journal import Journal
from edge.uplink import Uplink
from protocols.delivery import envelope
from protocols.delivery.envelope import LANE_READINGS
from protocols.delivery.messages import Ack, Nack
from protocols.io.mqtt import Broker
from tests.fixtures.brokers import Mosquitto
from tests.fixtures.delivery import OpenJournal, add_site, fill, packed, stored_counts
from tests.fixtures.ingest_workers import IngestWorkers

SEED = 20261122
WORKERS = 3
GATEWAYS = ("gw-1", "gw-2", "gw-3")
BATCHES = 400
KILLS = int(os.environ.get("HUTONG_WORKER_KILLS", "6"))
DRAIN_S = 60.0


@pytest.fixture
def workers(engine: Engine, mosquitto: Mosquitto, tmp_path: Path) -> Iterator[IngestWorkers]:
    """Give workers that are not started yet; none is left at the end."""
    made = IngestWorkers(tmp_path, engine, mosquitto.url)
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let gateways wait less between attempts."""
    monkeypatch.setattr("edge.uplink.TICK_S", 0.1)
    monkeypatch.setattr("protocols.delivery.sender.FIRST_RESEND_S", 0.5)
    monkeypatch.setattr("protocols.delivery.sender.LAST_RESEND_S", 2.0)


@asynccontextmanager
async def sending(journals: Sequence[Journal], url: str) -> AsyncIterator[None]:
    """Let gateways deliver what they have."""
    uplinks = [Uplink(journal, Broker.parse(url), "hutong 1") for journal in journals]
    tasks = [asyncio.create_task(uplink.run()) for uplink in uplinks]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(done: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait for a condition, or fail and tell what the workers said."""
    deadline_s = time.monotonic() + DRAIN_S
    while not done():
        assert time.monotonic() < deadline_s, f"it never came:\n{what()}"
        await asyncio.sleep(0.02)


def acked(journals: Sequence[Journal]) -> int:
    return sum(journal.status(LANE_READINGS).acked for journal in journals)


def rows(engine: Engine, table: str) -> int:
    known = {
        "batches": batches,
        "envelopes": envelopes,
        "runs": ingest_runs,
        "attempts": ingest_attempts,
    }
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        return reader.scalar(select(func.count()).select_from(known[table])) or 0


@pytest.mark.slow
@pytest.mark.mosquitto
@pytest.mark.usefixtures("quick")
async def test_killed_workers_lose_nothing_and_repeat_nothing(
    engine: Engine, open_journal: OpenJournal, workers: IngestWorkers
) -> None:
    add_site(engine, *GATEWAYS)
    rng = random.Random(SEED)
    journals = [open_journal(f"{name}.journal", name) for name in GATEWAYS]
    for number, journal in enumerate(journals):
        # each gateway has its own readings
        fill(journal, BATCHES, first=number * BATCHES)
    whole = len(journals) * BATCHES
    for _ in range(WORKERS):
        workers.start()
    async with sending(journals, workers.mqtt_url):
        for kill in range(KILLS):
            wanted = whole * (kill + 1) // (KILLS + 2)
            await until(lambda wanted=wanted: acked(journals) >= wanted, workers.logs)
            workers.kill(rng.randrange(len(workers.running)))
            workers.start()
        await until(lambda: acked(journals) == whole, workers.logs)
    assert rows(engine, "batches") == rows(engine, "envelopes") == whole
    with engine.begin() as connection:
        assert sorted(stored_counts(connection)) == [1000 + number for number in range(whole)]
        assert quarantine.items(connection)[1] == 0
    workers.stop()
    # no run of one that was stopped is left; one that was killed may not have begun
    assert rows(engine, "runs") <= KILLS


@pytest.mark.slow
@pytest.mark.mosquitto
@pytest.mark.usefixtures("quick")
async def test_a_batch_that_ends_every_worker_does_not_stop_its_lane(
    engine: Engine, open_journal: OpenJournal, workers: IngestWorkers
) -> None:
    add_site(engine, *GATEWAYS[:2])
    deadly, other = (open_journal(f"{name}.journal", name) for name in GATEWAYS[:2])
    fill(deadly, 20)
    fill(other, 20, first=20)
    poison = envelope.unpack(packed(deadly, 3).payload)
    workers.extra = {"HUTONG_FAILPOINT": f"ingest.decode.{poison.batch_id.hex()}"}
    deaths = 0
    for _ in range(2):
        workers.start()
    async with sending([deadly, other], workers.mqtt_url):

        def drained() -> bool:
            nonlocal deaths
            died = workers.died()
            deaths += died
            for _ in range(died):
                workers.start()
            return acked([deadly, other]) == 40

        await until(drained, workers.logs)
    # each worker may be surprised once; then each attempt is counted
    assert LIMIT < deaths <= LIMIT + 2
    with engine.begin() as connection:
        ((item,), total) = quarantine.items(connection)
        assert (total, item.batch_id, item.reason) == (1, poison.batch_id, DEADLY)
        assert quarantine.contents(connection, item.id).body == poison.payload
        counts = sorted(stored_counts(connection))
    assert counts == [1000 + number for number in range(40) if number != 2]
    assert rows(engine, "attempts") == 0


def committer(engine: Engine) -> Committer:
    """A worker's committer whose run has begun."""
    made = Committer(engine)
    made.begin()
    return made


def fates(outcome: Outcome) -> list[str]:
    return sorted(fate for fate, count in outcome.counts.items() if count)


def test_after_a_clean_end_nothing_is_counted(
    engine: Engine, open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 2)
    first = committer(engine)
    first.commit([packed(journal, 1)])
    first.end()
    monkeypatch.setattr(attempts, "note", None)
    assert fates(committer(engine).commit([packed(journal, 2)])) == ["store"]


class _BadError(Exception):
    pass


def failing(monkeypatch: pytest.MonkeyPatch, deadly: Incoming) -> list[int]:
    """Let the transaction of that message fail unless it is not read; return sizes of groups."""
    sizes: list[int] = []
    real = careful.process

    def process(*args: object, **kwargs: object) -> Outcome:
        group = args[1]
        assert isinstance(group, list)
        sizes.append(len(group))
        if deadly in group and deadly not in kwargs["deadly"]:  # type: ignore[operator]  # a set
            raise _BadError
        return real(*args, **kwargs)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(careful, "process", process)
    return sizes


def test_innocent_company_is_not_blamed(
    engine: Engine, open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 5)
    group = [packed(journal, seq) for seq in range(1, 6)]
    sizes = failing(monkeypatch, group[2])
    committer(engine)
    for _ in range(1 + LIMIT - 1):
        # each in a process of its own, with all that the gateway sends again
        with pytest.raises(_BadError):
            committer(engine).commit(group)
    assert sizes[:2] == [5, 1]
    outcome = committer(engine).commit(group)
    nacks = [it.seq for _, it in outcome.answers if isinstance(it, Nack)]
    assert nacks == [3]
    assert [it.through for _, it in outcome.answers if isinstance(it, Ack)][-1] == 5
    with engine.begin() as connection:
        assert stored_counts(connection) == [1000, 1001, 1003, 1004]
    assert rows(engine, "attempts") == 0


def test_what_cannot_even_be_put_aside_is_dropped(
    engine: Engine, open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 2)
    bad, good = packed(journal, 1), packed(journal, 2)

    def process(*args: object, **_: object) -> Outcome:
        if bad in args[1]:  # type: ignore[operator]  # a list
            raise _BadError
        return Outcome()

    monkeypatch.setattr(careful, "process", process)
    committer(engine)
    for _ in range(LIMIT + 1):
        with pytest.raises(_BadError):
            committer(engine).commit([bad])
    assert fates(committer(engine).commit([bad, good])) == ["dropped_deadly"]


def test_a_database_that_goes_away_blames_nobody(
    engine: Engine, open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 1)
    committer(engine)
    worker = committer(engine)
    real = careful.process

    def process(*_: object, **__: object) -> Outcome:
        raise careful.OperationalError("", None, Exception("gone"))

    monkeypatch.setattr(careful, "process", process)
    for _ in range(LIMIT + 2):
        with pytest.raises(careful.OperationalError):
            worker.commit([packed(journal, 1)])
    monkeypatch.setattr(careful, "process", real)
    assert fates(worker.commit([packed(journal, 1)])) == ["store"]
    assert rows(engine, "attempts") == 0


def test_care_ends(
    engine: Engine, open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 2)
    committer(engine)
    monkeypatch.setattr(careful, "CAREFUL_S", 0.0)
    worker = committer(engine)
    worker.commit([packed(journal, 1)])
    assert rows(engine, "runs") == 1
    worker.end()
    assert rows(engine, "runs") == 0
