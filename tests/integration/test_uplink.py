"""Gateway to cloud over real brokers: everything arrives once, whatever is killed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from cloud.ingest.broker import embedded_broker
from cloud.ingest.tables import batches, envelopes
from cloud.ingest.worker import IngestWorker
from edge.journal import Journal
from edge.uplink import Uplink
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event
from protocols.io.mqtt import Broker
from tests.fixtures.brokers import Mosquitto
from tests.fixtures.delivery import (
    START_US,
    OpenJournal,
    add_site,
    fill,
    stored_counts,
)
from tests.fixtures.system_parts import free_port

LANE = LANE_READINGS
DRAIN_S = 30.0


async def until(done: Callable[[], bool], within_s: float = DRAIN_S) -> None:
    """Wait for a condition, or fail."""
    deadline_s = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline_s, "it never came"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    journal: Journal, engine: Engine, url: str, *, shared: bool = True
) -> AsyncIterator[Uplink]:
    """Run both ends."""
    worker = IngestWorker(engine, Broker.parse(url), committed=lambda: None, shared=shared)
    uplink = Uplink(journal, Broker.parse(url), "hutong 1")
    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(uplink.run())]
    try:
        yield uplink
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def everything_arrived_once(engine: Engine, journal: Journal, expected: int) -> None:
    with engine.begin() as connection:
        assert stored_counts(connection) == [1000 + number for number in range(expected)]
        held = connection.scalar(select(func.count()).select_from(batches)) or 0
        places = connection.scalar(select(func.count()).select_from(envelopes)) or 0
    sealed = sum(journal.status(lane).next - 1 for lane in (0, 1))
    assert held == places == sealed
    assert [journal.status(lane).acked for lane in (0, 1)] == [
        journal.status(lane).next - 1 for lane in (0, 1)
    ]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less between attempts."""
    monkeypatch.setattr("edge.uplink.FIRST_RETRY_S", 0.1)
    monkeypatch.setattr("edge.uplink.LAST_RETRY_S", 0.2)
    monkeypatch.setattr("edge.uplink.TICK_S", 0.1)
    monkeypatch.setattr("cloud.ingest.worker.RETRY_S", 0.1)
    monkeypatch.setattr("protocols.delivery.sender.FIRST_RESEND_S", 0.5)


def fill_both(journal: Journal, count: int) -> None:
    fill(journal, count)
    journal.append(LANE_EVENTS, [Event("", "gateway_started", 1, 2)], seal_at_us=START_US)


@pytest.mark.mosquitto
@pytest.mark.usefixtures("quick")
async def test_over_mosquitto(
    engine: Engine, open_journal: OpenJournal, mosquitto: Mosquitto
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill_both(journal, 300)
    async with running(journal, engine, mosquitto.url) as uplink:
        await until(lambda: uplink.backlog() == 0)
        fill(journal, 10, first=300)
        uplink.sealed()
        await until(lambda: journal.status(LANE).acked == 310)
    everything_arrived_once(engine, journal, 310)


@pytest.mark.usefixtures("quick")
async def test_over_the_embedded_broker(sqlite_engine: Engine, open_journal: OpenJournal) -> None:
    add_site(sqlite_engine, "gw-1")
    journal = open_journal()
    fill_both(journal, 100)
    port = free_port()
    async with (
        embedded_broker(port),
        running(journal, sqlite_engine, f"mqtt://127.0.0.1:{port}", shared=False) as uplink,
    ):
        await until(lambda: uplink.backlog() == 0)
    everything_arrived_once(sqlite_engine, journal, 100)


@pytest.mark.mosquitto
@pytest.mark.usefixtures("quick")
async def test_a_killed_broker_loses_nothing_and_repeats_nothing(
    engine: Engine, open_journal: OpenJournal, mortal_mosquitto: Mosquitto
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill_both(journal, 1500)
    async with running(journal, engine, mortal_mosquitto.url) as uplink:
        for part in (100, 500):
            await until(lambda part=part: journal.status(LANE).acked >= part)
            assert uplink.backlog() > 0
            mortal_mosquitto.kill()
            await until(lambda: not uplink.connected.is_set())
            mortal_mosquitto.start()
        await until(lambda: uplink.backlog() == 0)
    everything_arrived_once(engine, journal, 1500)


@pytest.mark.mosquitto
@pytest.mark.usefixtures("quick")
async def test_a_new_epoch_that_the_session_did_not_live_to_see(
    sqlite_engine: Engine, open_journal: OpenJournal, mortal_mosquitto: Mosquitto
) -> None:
    add_site(sqlite_engine, "gw-1")
    journal = open_journal()
    fill_both(journal, 5)
    async with running(journal, sqlite_engine, mortal_mosquitto.url) as uplink:
        await until(lambda: uplink.backlog() == 0)
        mortal_mosquitto.kill()
        await until(lambda: not uplink.connected.is_set())
        journal.new_epoch(LANE)
        mortal_mosquitto.start()
        await until(lambda: journal.status(LANE).acked == 5)
    with sqlite_engine.begin() as connection:
        assert stored_counts(connection) == [1000, 1001, 1002, 1003, 1004]


@pytest.mark.mosquitto
@pytest.mark.usefixtures("quick")
async def test_a_restored_gateway_goes_on_in_a_new_epoch(
    sqlite_engine: Engine, open_journal: OpenJournal, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    add_site(sqlite_engine, "gw-1")
    journal = open_journal()
    fill_both(journal, 3)
    journal._db.execute("VACUUM INTO ?", (str(tmp_path / "old.journal"),))
    fill(journal, 3, first=3)
    async with running(journal, sqlite_engine, mosquitto.url) as uplink:
        await until(lambda: uplink.backlog() == 0)
    epoch = journal.status(LANE).epoch

    restored = open_journal("old.journal")
    assert restored.status(LANE).epoch == epoch
    fill(restored, 5, first=6)
    async with running(restored, sqlite_engine, mosquitto.url) as uplink:
        await until(lambda: restored.status(LANE).acked == 8)
    assert restored.status(LANE).epoch != epoch
    with sqlite_engine.begin() as connection:
        assert stored_counts(connection) == [1000 + number for number in range(11)]


@pytest.mark.mosquitto
@pytest.mark.usefixtures("quick")
async def test_nonsense_on_either_topic_stops_nobody(
    sqlite_engine: Engine, open_journal: OpenJournal, mosquitto: Mosquitto
) -> None:
    add_site(sqlite_engine, "gw-1")
    journal = open_journal()
    fill_both(journal, 1)
    hello = (
        b'{"install_id":"","boot_id":"","firmware":"","nonce":"","lanes":[{"lane":1,'
        b'"epoch":-1,"first":1,"next":1,"acked":0,"generation":99999999999999999999}]}'
    )
    ack = (
        b'{"type":"ack","lane":1,"epoch":1,"through":1,"have":[],"hash_through":"zz",'
        b'"generation":1,"credit":1,"server_time":1}'
    )
    async with running(journal, sqlite_engine, mosquitto.url) as uplink:
        await until(lambda: uplink.backlog() == 0)
        async with Broker.parse(mosquitto.url).client("noise") as noise:
            for body in (b"", b"\xff", b"{}", hello, ack):
                for topic in ("v1/up/gw-1/hello", "v1/up/gw-1/1", "v1/dn/gw-1/ack"):
                    await noise.publish(topic, body, qos=1)
        fill(journal, 1, first=1)
        uplink.sealed()
        await until(lambda: journal.status(LANE).acked == 2)
    everything_arrived_once(sqlite_engine, journal, 2)


@pytest.mark.mosquitto
@pytest.mark.usefixtures("quick")
async def test_an_epoch_that_the_journal_began_by_itself_is_followed(
    sqlite_engine: Engine, open_journal: OpenJournal, mosquitto: Mosquitto
) -> None:
    # a full journal thins its batches while the session goes on
    add_site(sqlite_engine, "gw-1")
    journal = open_journal()
    fill_both(journal, 20)
    async with running(journal, sqlite_engine, mosquitto.url):
        await until(lambda: journal.status(LANE).acked == 20)
        journal.new_epoch(LANE)
        fill(journal, 5, first=20)
        await until(lambda: journal.status(LANE).acked == 25)
    with sqlite_engine.begin() as connection:
        assert stored_counts(connection) == [1000 + number for number in range(25)]
