"""Which months are due for billing, from what was delivered."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine

from cloud.billing import run_repository, runs
from cloud.config import Settings
from cloud.sites.tables import buildings, channels, devices
from cloud.tables import metadata
from cloud.telemetry.tables import latest
from cloud.work import LATE_S, Worker, due_runs
from protocols.delivery.records import microseconds
from tests.fixtures.delivery import add_site

# July ends at midnight in Shanghai
END_US = microseconds(datetime(2026, 7, 31, 16, tzinfo=UTC))
AFTER_US = END_US + 3_600_000_000
HOUR_US = 3_600_000_000


@pytest.fixture
def site(engine: Engine) -> Engine:
    """Give a project with two metered points, billed since July."""
    add_site(engine, "gw-1")
    table = metadata.tables
    with engine.begin() as connection:
        connection.execute(
            buildings.insert().values(id="b", project_id="p-1", name="1", name_en="1", position=1)
        )
        for number, name in enumerate(("m-1", "m-2"), start=1):
            row = {"project_id": "p-1", "name": name, "building_id": "b"}
            more = {"name_en": name, "medium": "water", "profile": "p", "gateway_id": "gw-1"}
            connection.execute(devices.insert().values(**row, **more, id=name, period_s=60))
            more = {"service": "water", "uom": "m3", "role": "home", "supply": "direct"}
            connection.execute(table["meter_points"].insert().values(**row, **more, id=name))
            install = {"meter_point_id": name, "meter_id": name, "device_id": name}
            install |= {"point": "volume", "exponent": -3, "multiplier": "1", "start_count": 0}
            connection.execute(table["installs"].insert().values(**install, installed_at_us=1))
            service = {"meter_point_id": name, "tariff_id": "t"}
            connection.execute(
                table["services"].insert().values(**service, cutover_on=date(2026, 7, 1))
            )
            channel = {"gateway_id": "gw-1", "device_id": name, "point": "volume", "uom": "m3"}
            connection.execute(channels.insert().values(**channel, id=number, exponent=-3))
    return engine


def read(engine: Engine, channel: int, at_us: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            latest.insert().values(channel_id=channel, read_at_us=at_us, count=1, quality=0)
        )


def due(engine: Engine, now_us: int = AFTER_US) -> list[tuple[str, str]]:
    with engine.begin() as connection:
        return due_runs(connection, now_us)


def test_a_month_is_due_when_every_meter_has_been_read_after_it(site: Engine) -> None:
    assert due(site) == []
    read(site, 1, END_US)
    assert due(site) == []
    read(site, 2, END_US + HOUR_US)
    assert due(site) == [("p-1", "2026-07")]


def test_a_month_that_is_not_over_is_not_due(site: Engine) -> None:
    read(site, 1, END_US)
    read(site, 2, END_US)
    assert due(site, END_US - 1) == []


def test_one_dead_meter_holds_the_others_up_for_three_days(site: Engine) -> None:
    read(site, 1, END_US + LATE_S * 1_000_000 - 1)
    assert due(site, END_US + 4 * 24 * HOUR_US) == []
    read(site, 2, END_US - HOUR_US)
    with site.begin() as connection:
        late_us = END_US + LATE_S * 1_000_000
        connection.execute(
            latest.update().where(latest.c.channel_id == 1).values(read_at_us=late_us)
        )
    assert due(site, END_US + 4 * 24 * HOUR_US) == [("p-1", "2026-07")]


def test_a_month_is_run_once(site: Engine) -> None:
    read(site, 1, END_US)
    read(site, 2, END_US)
    runs.run(site, "p-1", "2026-07")
    assert due(site) == []


def test_a_month_before_the_cutover_is_not_due(site: Engine) -> None:
    read(site, 1, END_US)
    read(site, 2, END_US)
    with site.begin() as connection:
        connection.execute(metadata.tables["services"].update().values(cutover_on=date(2026, 8, 1)))
    assert due(site) == []


def test_a_run_that_somebody_looks_at_is_not_posted_by_itself(site: Engine) -> None:
    read(site, 1, END_US)
    read(site, 2, END_US)
    with site.begin() as connection:
        begun = runs.start(connection, "p-1", "2026-07", allow_unverified=True, by="clerk")
    assert due(site) == []
    Worker(site, Settings()).step()
    with site.connect() as connection:
        held = run_repository.required_run(connection, begun.key)
    assert held.phase == "drafted"


def test_a_run_that_began_by_itself_and_was_killed_goes_on(site: Engine) -> None:
    with site.begin() as connection:
        begun = runs.start(connection, "p-1", "2026-07", allow_unverified=True, by=runs.ENTERED_BY)
    Worker(site, Settings(auto_bill=False)).step()
    with site.connect() as connection:
        held = run_repository.required_run(connection, begun.key)
    assert held.phase == "finished"
