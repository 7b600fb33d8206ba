"""When a month is billed by itself: over, delivered, and nothing read before it on its way."""

from datetime import date

import pytest
from sqlalchemy import Engine

from cloud.sites.importer import import_project
from cloud.sites.project_file import ProjectFile
from cloud.work import LATE_S, due_runs
from edge.journal import Journal
from protocols.delivery.envelope import LANE_READINGS
from tests.fixtures.delivery import START_US, OpenJournal, deliver, packed, reading

# July in Shanghai ends here
END_US = START_US - 8 * 3_600_000_000 + 31 * 86_400_000_000
HOUR_US = 3_600_000_000
DAY_US = 86_400_000_000
SITE = {
    "project": {"id": "p-1", "name": "青松", "name_en": "P", "time_zone": "Asia/Shanghai"},
    "gateways": [{"id": "gw-1", "name": "gw-1"}],
    "buildings": [{"id": "b-1", "name": "1", "name_en": "1"}],
    "premises": [
        {
            "id": "h-1",
            "building": "b-1",
            "name": "101",
            "kind": "home",
            "area_m2": "90",
            "holder": "A",
        }
    ],
    "meters": [
        {
            "id": f"mp-{number}",
            "name": "电表",
            "name_en": "meter",
            "building": "b-1",
            "premise": "h-1",
            "service": "electricity",
            "role": "sub",
            "supply": "collected",
            "gateway": "gw-1",
            "device": f"e-{number}",
            "profile": "eastron-sdm120",
            "point": "energy_import",
            "exponent": -2,
            "meter_no": f"E{number}",
            "installed_on": "2026-01-01",
            "start_count": 0,
            "tariff": "cn-beijing-electricity-tiered",
        }
        for number in (1, 2)
    ],
}


@pytest.fixture
def journal(engine: Engine, open_journal: OpenJournal) -> Journal:
    """Give the journal of a site of two meters: before, at and after the month's end, and later."""
    with engine.begin() as connection:
        import_project(connection, ProjectFile.model_validate(SITE), cutover_on=date(2026, 7, 1))
    journal = open_journal()
    for after_us in (-HOUR_US, 0, HOUR_US, 4 * DAY_US):
        readings = [
            reading(number, f"e-{number}", read_at_us=END_US + after_us) for number in (1, 2)
        ]
        journal.append(LANE_READINGS, readings, seal_at_us=END_US + after_us)
    return journal


def test_a_month_is_due_when_every_meter_was_read_after_it(
    engine: Engine, journal: Journal
) -> None:
    assert _due(engine, END_US + HOUR_US) == []
    _take(engine, journal, 1)
    assert _due(engine, END_US + HOUR_US) == []
    _take(engine, journal, 2)
    assert _due(engine, END_US - 1) == []
    assert _due(engine, END_US + HOUR_US) == [("p-1", "2026-07")]


def test_a_month_whose_end_was_overtaken_waits_for_it(engine: Engine, journal: Journal) -> None:
    for seq in (1, 3, 4):
        _take(engine, journal, seq, END_US + 4 * DAY_US)
    # the reads of both meters are days past the end, but the one at the end is on its way
    assert _due(engine, END_US + 5 * DAY_US) == []
    _take(engine, journal, 2)
    assert _due(engine, END_US + 5 * DAY_US) == [("p-1", "2026-07")]


def test_a_batch_that_never_comes_is_not_waited_for_for_ever(
    engine: Engine, journal: Journal
) -> None:
    for seq in (1, 3):
        _take(engine, journal, seq)
    came_us = END_US + HOUR_US
    assert _due(engine, came_us + LATE_S * 1_000_000 - 1) == []
    assert _due(engine, came_us + LATE_S * 1_000_000) == [("p-1", "2026-07")]


def _take(engine: Engine, journal: Journal, seq: int, now_us: int = END_US + HOUR_US) -> None:
    deliver(engine, [packed(journal, seq)], now_us)


def _due(engine: Engine, now_us: int) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        return due_runs(connection.execution_options(readonly=True), now_us)
