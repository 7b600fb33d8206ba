"""Readings of a clock that was wrong by years are billed at their true time, once, or not yet."""

from sqlalchemy import Engine, select

from cloud.alerts import service as alerts
from cloud.alerts.tables import alerts as alert_table
from cloud.ingest.clock_repository import waiting
from cloud.sites.tables import channels
from cloud.telemetry import repository as telemetry
from edge.journal import Journal
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
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


def undated(number: int) -> Reading:
    """A reading of a clock that is five years behind."""
    return reading(
        number,
        quality=int(Quality.TIME_UNCERTAIN),
        read_at_us=START_US - 5 * YEAR_US + number * MINUTE_US,
    )


def fix(minute: int) -> Event:
    """What the gateway notes when the cloud has told it the time."""
    body: dict[str, str | int | None] = {"source": "cloud", "error_us": 2_000_000}
    body["wall_us"] = START_US + minute * MINUTE_US
    return Event("", "clock", START_US - 5 * YEAR_US, minute * MINUTE_US, body)


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
