"""Readings of a clock that was wrong by years are billed at their true time, once, or not yet."""

import pytest
from sqlalchemy import Engine, select

from cloud.alerts import service as alerts
from cloud.alerts.tables import alerts as alert_table
from cloud.ingest import quarantine
from cloud.ingest.clock_repository import waiting, waiting_readings
from cloud.ingest.service import Incoming
from cloud.sites.tables import channels, devices
from cloud.telemetry import repository as telemetry
from edge.journal import Journal
from protocols.delivery import batch, envelope, topics
from protocols.delivery.envelope import GENESIS, LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event, Quality, Reading
from tests.fixtures.delivery import (
    MINUTE_US,
    NOW_US,
    START_US,
    OpenJournal,
    add_site,
    deliver,
    packed,
    reading,
    stored_counts,
)

YEAR_US = 365 * 86_400 * 1_000_000
FIRST, SECOND = b"boot-of-one-", b"boot-of-two-"


def undated(number: int) -> Reading:
    """A reading of a clock that is five years behind."""
    return reading(
        number,
        quality=int(Quality.TIME_UNCERTAIN),
        read_at_us=START_US - 5 * YEAR_US + number * MINUTE_US,
    )


def fix(minute: int, *, late_us: int = 0) -> Event:
    """What the gateway notes when the cloud has told it the time."""
    body: dict[str, str | int | None] = {"source": "cloud", "error_us": 2_000_000}
    body["wall_us"] = START_US + minute * MINUTE_US + late_us
    return Event("", "clock", START_US - 5 * YEAR_US, minute * MINUTE_US, body)


def sent(name: bytes, payload: bytes, *, gateway: str = "gw-1", lane: int = 1) -> Incoming:
    """A batch in an epoch of its own, as the broker would bring it."""
    place = {"epoch": int.from_bytes(name[8:], "big"), "seq": 1}
    made = envelope.seal(
        payload,
        gateway=gateway,
        lane=lane,
        batch_id=name,
        prev_hash=GENESIS,
        root=bytes(32),
        **place,
    )
    return Incoming(topics.up(gateway, str(lane)), envelope.pack(made))


def told(boot: bytes, event: Event, gateway: str = "gw-1") -> Incoming:
    """A batch of events with that one."""
    name = envelope.batch_id(boot, 1_000_000 + event.monotonic_us // MINUTE_US)
    return sent(name, batch.encode([event], bytes(32)), gateway=gateway, lane=0)


def times(engine: Engine) -> list[tuple[int, int]]:
    """(minute, count) of the good rows in the history."""
    with engine.begin() as connection:
        query = select(channels.c.id).where(channels.c.device_id == "e-1")
        return [
            ((row.read_at_us - START_US) // MINUTE_US, row.count or 0)
            for channel in connection.scalars(query)
            for row in telemetry.rows_between(connection, channel, 0, 1 << 61)
            if row.quality == Quality.GOOD
        ]


def fill(journal: Journal) -> None:
    journal.append(LANE_READINGS, [undated(1), undated(2)], seal_at_us=START_US)
    journal.append(LANE_EVENTS, [fix(10)], seal_at_us=START_US)
    journal.append(LANE_READINGS, [undated(12), reading(13)], seal_at_us=START_US)


def test_they_wait_and_are_dated_once(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal)
    deliver(engine, [packed(journal, 1)])
    assert times(engine) == []
    with engine.begin() as connection:
        assert waiting(connection) == {"gw-1": 1}
        alerts.watch_silence(connection, NOW_US)
        kinds = select(alert_table.c.kind).where(alert_table.c.cleared_us.is_(None))
        assert "clock_uncertain" in set(connection.scalars(kinds))
    for _ in range(2):
        deliver(engine, [packed(journal, 1, lane=LANE_EVENTS)])
        deliver(engine, [packed(journal, 2), packed(journal, 1)])
    assert times(engine) == [(1, 1001), (2, 1002), (12, 1012), (13, 1013)]
    with engine.begin() as connection:
        assert waiting(connection) == {}
        assert stored_counts(connection) == [1001, 1002, 1012, 1013]
        alerts.watch_silence(connection, NOW_US)
        assert "clock_uncertain" not in set(connection.scalars(kinds))


def test_the_order_of_arrival_does_not_matter(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal)
    deliver(engine, [packed(journal, 2), packed(journal, 1, lane=LANE_EVENTS), packed(journal, 1)])
    assert times(engine) == [(1, 1001), (2, 1002), (12, 1012), (13, 1013)]


def test_another_boot_knows_nothing_of_this_one(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    first = open_journal()
    first.append(LANE_READINGS, [undated(1)], seal_at_us=START_US)
    first.close()
    second = open_journal()
    second.append(LANE_EVENTS, [fix(10)], seal_at_us=START_US)
    deliver(engine, [packed(second, 1), packed(second, 1, lane=LANE_EVENTS)])
    assert times(engine) == []


def test_the_words_behind_a_dated_reading_are_found(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal)
    deliver(engine, [packed(journal, 1), packed(journal, 1, lane=LANE_EVENTS)])
    with engine.begin() as connection:
        channel = connection.scalar(select(channels.c.id))
        assert channel is not None
        (row, _) = telemetry.rows_between(connection, channel, START_US, START_US + 3 * MINUTE_US)
        sealed = telemetry.raw_reading(connection, channel, row)
    assert sealed == undated(1)


def replaced_of_two_boots() -> Incoming:
    """What the second boot kept of a batch of the first and of one of its own, none dated."""
    kept = {
        envelope.batch_id(FIRST, 1): [undated(1), undated(2)],
        envelope.batch_id(SECOND, 1): [undated(31)],
    }
    payload = batch.encode([], bytes(32), replaces=kept)
    return sent(envelope.batch_id(SECOND, 7), payload)


@pytest.mark.parametrize("first_come", ["fixes", "readings"])
def test_what_a_batch_replaces_is_dated_by_the_boot_that_read_it(
    engine: Engine, first_come: str
) -> None:
    add_site(engine, "gw-1")
    # the second boot began a day later; its monotonic clock knows nothing of the first one's
    day_us = 86_400 * 1_000_000
    fixes = [told(FIRST, fix(10)), told(SECOND, fix(40, late_us=day_us))]
    messages = [replaced_of_two_boots()]
    for message in fixes + messages if first_come == "fixes" else messages + fixes:
        deliver(engine, [message])
    day = day_us // MINUTE_US
    assert times(engine) == [(1, 1001), (2, 1002), (day + 31, 1031)]
    with engine.begin() as connection:
        assert waiting(connection) == {}
        channel = connection.scalar(select(channels.c.id))
        assert channel is not None
        (row, *_, last) = telemetry.rows_between(connection, channel, 0, 1 << 61)
        assert telemetry.raw_reading(connection, channel, row) == undated(1)
        sealed = telemetry.sealed_reading(connection, channel, last)
        assert (sealed.reading, sealed.clock_quality) == (undated(31), "uncertain")


def test_each_boots_readings_wait_by_themselves(engine: Engine) -> None:
    add_site(engine, "gw-1")
    deliver(engine, [replaced_of_two_boots()])
    with engine.begin() as connection:
        assert waiting(connection) == {"gw-1": 1}
        assert waiting_readings(connection) == {"gw-1": 3}
    deliver(engine, [told(SECOND, fix(40))])
    assert times(engine) == [(31, 1031)]
    with engine.begin() as connection:
        assert waiting(connection) == {"gw-1": 1}
        assert waiting_readings(connection) == {"gw-1": 2}
    deliver(engine, [told(FIRST, fix(10))])
    assert times(engine) == [(1, 1001), (2, 1002), (31, 1031)]


def test_another_gateway_does_not_date_them(engine: Engine) -> None:
    add_site(engine, "gw-1", "gw-2")
    name = envelope.batch_id(FIRST, 1)
    # it comes first, at the same instant of the same boot, to take the place of the right one
    deliver(engine, [told(FIRST, fix(10, late_us=YEAR_US), gateway="gw-2")])
    deliver(engine, [sent(name, batch.encode([undated(1)], bytes(32)))])
    assert times(engine) == []
    event = sent(envelope.batch_id(FIRST, 2), batch.encode([fix(10)], bytes(32)), lane=0)
    deliver(engine, [event])
    assert times(engine) == [(1, 1001)]


def test_the_evidence_is_found_after_a_nearer_fix(engine: Engine) -> None:
    add_site(engine, "gw-1")
    deliver(engine, [told(FIRST, fix(10))])
    name = envelope.batch_id(FIRST, 1)
    deliver(engine, [sent(name, batch.encode([undated(20), undated(21)], bytes(32)))])
    # the two clocks drift: by this one it would be half a second later
    deliver(engine, [told(FIRST, fix(22, late_us=500_000))])
    with engine.begin() as connection:
        channel = connection.scalar(select(channels.c.id))
        assert channel is not None
        rows = telemetry.rows_between(connection, channel, 0, 1 << 61)
        sealed = [telemetry.raw_reading(connection, channel, row) for row in rows]
    assert sealed == [undated(20), undated(21)]


def test_nonsense_of_a_clock_stops_nobody(engine: Engine) -> None:
    add_site(engine, "gw-1")
    body: dict[str, str | int | None] = {"source": "x" * 99, "error_us": 1, "wall_us": 1 << 63}
    wild = [
        Event("", "clock", START_US, MINUTE_US, body),
        Event("", "clock", START_US, 1 << 62, {**body, "wall_us": START_US}),
    ]
    payload = batch.encode(wild, bytes(32))
    outcome = deliver(engine, [sent(envelope.batch_id(FIRST, 1), payload, lane=0)])
    assert outcome.counts["store"] == 1
    deliver(engine, [sent(envelope.batch_id(FIRST, 2), batch.encode([undated(1)], bytes(32)))])
    assert times(engine) == []


def test_what_became_another_gateways_while_it_waited_is_in_quarantine(engine: Engine) -> None:
    add_site(engine, "gw-1", "gw-2")
    name = envelope.batch_id(FIRST, 1)
    rows = [undated(1), reading(2, "e-2", quality=int(Quality.TIME_UNCERTAIN))]
    deliver(engine, [sent(name, batch.encode(rows, bytes(32)))])
    with engine.begin() as connection:
        known = {"project_id": "p-1", "name": "x", "name_en": "x", "period_s": 60}
        row = {"id": "e-2", "gateway_id": "gw-2", "medium": "electricity", "profile": "x"}
        connection.execute(devices.insert().values(**known, **row))
    deliver(engine, [told(FIRST, fix(10))])
    assert times(engine) == [(1, 1001)]
    with engine.begin() as connection:
        assert stored_counts(connection, "e-2") == []
        ((item,), _) = quarantine.items(connection)
        assert (item.batch_id, item.reason[:2]) == (name, "1 ")
