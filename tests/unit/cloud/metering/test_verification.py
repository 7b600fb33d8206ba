"""Verdicts are the same in whatever order reads came, and a new read costs little."""

from datetime import date
from random import Random

import pytest
from sqlalchemy import Engine, select

from cloud.metering import edits, manual_reads, verification
from cloud.metering import verdict_repository as verdicts
from cloud.metering.manual_repository import ManualRead
from cloud.metering.pace import WEEK_US
from cloud.metering.reading_tables import screenings
from cloud.telemetry import repository as telemetry
from protocols.delivery.records import Quality, Reading
from tests.fixtures.estate import GATEWAY, at, meter, put_on_file

HOUR_US = 3_600_000_000
START_US = at("2026-01-05T00:00:00")
POINT = "mp-e"
LIMITS = {"capacity": 100_000, "max_per_hour": 400, "start_count": 96_000}


@pytest.fixture
def estate(sqlite_engine: Engine) -> Engine:
    with sqlite_engine.begin() as connection:
        put_on_file(connection, date(2026, 1, 1), premises=[], meters=[meter("e", **LIMITS)])
    return sqlite_engine


def dirty_series(random: Random) -> list[Reading]:
    """Give six weeks of reads every two hours, with a rollover, a standstill and dirt."""
    count, found = 96_000, []
    for step in range(6 * 84):
        at_us = START_US + step * 2 * HOUR_US
        count += 0 if 330 <= step < 380 else random.randrange(60)
        shown: int | None = count % 100_000
        dice = random.random()
        if dice < 0.03:
            shown = random.choice([0, 0xFFFFFFFF, max(shown - 1, 0), shown + 5_000, None])
        quality = Quality.MISSING if shown is None else Quality.GOOD
        found.append(reading(at_us, shown, quality))
        if dice > 0.99:
            found.append(reading(at_us, count % 100_000 + 1, Quality.GOOD))
    return found


def reading(at_us: int, count: int | None, quality: Quality) -> Reading:
    return Reading("e", "energy_import", "kWh", -2, count, quality, at_us, at_us)


def deliver(engine: Engine, readings: list[Reading], number: int) -> None:
    with engine.begin() as connection:
        telemetry.store(connection, [(GATEWAY, number.to_bytes(16, "big"), readings)])


def judged(engine: Engine, *, anew: bool = False) -> tuple[list[str], list[tuple[object, ...]]]:
    """Give the verdicts and where screening stands, but for batches that ids tell apart."""
    with engine.begin() as connection:
        verification.screen_point(connection, POINT, anew=anew)
        found = [str(item) for item in verdicts.findings_of(connection, POINT)]
        weeks = connection.execute(select(screenings).order_by(screenings.c.week)).all()
    return sorted(found), [tuple(row) for row in weeks]


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_arrival_gives_the_same_verdicts(estate: Engine, seed: int) -> None:
    random = Random(seed)
    series = dirty_series(random)
    pieces: list[list[Reading]] = [[] for _ in range(7)]
    for item in series:
        # mostly in order, some of it very late
        late = random.random() < 0.1
        week = (item.read_at_us - START_US) // WEEK_US
        pieces[random.randrange(7) if late else min(week, 6)].append(item)
    for number, piece in enumerate(pieces):
        deliver(estate, piece, number)
        judged(estate)
        if number == 3:
            source = f"{channel(estate)}:{0:032x}"
            with estate.begin() as connection:
                read = ManualRead(
                    meter_point_id=POINT,
                    read_at_us=START_US + 9 * WEEK_US // 4,
                    count=5,
                    taken_by="li",
                )
                manual_reads.store(connection, read)
                last = series[40]
                if last in pieces[0] and last.count is not None:
                    edits.edit_read(
                        connection,
                        POINT,
                        read_at_us=last.read_at_us,
                        source=source,
                        action="reject",
                        by="li",
                        why="wrong meter",
                    )
    in_pieces = judged(estate)
    assert judged(estate, anew=True) == in_pieces
    assert all(name in str(in_pieces[0]) for name in ("rollover", "spike", "not-available"))


def channel(engine: Engine) -> int:
    with engine.begin() as connection:
        series = telemetry.Series(GATEWAY, "e", "energy_import", "kWh", -2)
        return telemetry.channel_ids(connection, [series])[series]


def test_a_new_read_screens_two_weeks_at_most(estate: Engine) -> None:
    year = [
        reading(START_US + step * 24 * HOUR_US, 96_000 + step, Quality.GOOD) for step in range(364)
    ]
    deliver(estate, year, 1)
    with estate.begin() as connection:
        assert verification.screen_point(connection, POINT) > 50
        assert verification.screen_point(connection, POINT) == 0
    deliver(estate, [reading(START_US + 364 * 24 * HOUR_US, 96_364, Quality.GOOD)], 2)
    with estate.begin() as connection:
        assert verification.screen_point(connection, POINT) <= 2
