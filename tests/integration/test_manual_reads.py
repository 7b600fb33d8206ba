"""Reads that people take, imports undone as one act, and rounds 抄表, on both databases."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, func, select

from cloud.billing import runs
from cloud.billing.evidence import evidence_of
from cloud.billing.tables import services
from cloud.errors import RefusedError
from cloud.metering import balance, manual_reads, reading_rounds, service
from cloud.metering.manual_repository import ManualRead
from cloud.metering.plausibility import Answer
from cloud.metering.reading_tables import manual_reads as table
from cloud.metering.reading_tables import read_imports
from cloud.metering.registers import MissingReadError
from cloud.metering.tables import closings
from tests.fixtures.estate import at, meter, premise, put_on_file

ZONE = ZoneInfo("Asia/Shanghai")
NOW_US = at("2027-02-01T00:00:00")
BY_HAND = {"gateway": None, "device": None, "profile": None, "point": None}


@pytest.fixture
def homes(engine: Engine) -> Engine:
    """Give three homes whose meters no gateway reads."""
    names = ["1-101", "1-102", "1-103"]
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 10, 1),
            premises=[premise(name) for name in names],
            meters=[
                meter(name, premise=name, installed_on="2026-09-01", **BY_HAND) for name in names
            ],
        )
    return engine


def read(name: str, when: str, count: int) -> ManualRead:
    return ManualRead(
        meter_point_id=f"mp-{name}", read_at_us=at(when), count=count, taken_by="li", photo="p/1"
    )


def take(engine: Engine, name: str, when: str, count: int, *, confirmed: bool = False) -> str:
    with engine.begin() as connection:
        taken = manual_reads.take(
            connection, read(name, when, count), confirmed=confirmed, now_us=NOW_US
        )
    assert (taken.id != 0) == (taken.judgement.answer is Answer.ACCEPT or confirmed)
    return taken.judgement.answer.value


def quantity(engine: Engine, name: str, period: str) -> Decimal:
    with engine.begin() as connection:
        return service.consumption(connection, f"mp-{name}", service.month(period, ZONE)).quantity


def test_a_meter_without_a_gateway_is_billed_from_what_people_read(homes: Engine) -> None:
    assert take(homes, "1-101", "2026-10-01T00:00:00", 3_000) == "accept"
    assert take(homes, "1-101", "2026-11-01T00:00:00", 2_000, confirmed=False) == "refuse"
    assert take(homes, "1-101", "2026-11-01T00:00:00", 60_000) == "ask"
    assert take(homes, "1-101", "2026-11-01T00:00:00", 6_000) == "accept"
    assert quantity(homes, "1-101", "2026-10") == Decimal(30)
    assert take(homes, "1-101", "2026-12-01T00:00:00", 60_000, confirmed=True) == "ask"
    assert quantity(homes, "1-101", "2026-11") == Decimal(540)
    with homes.begin() as connection:
        held = connection.execute(select(table).order_by(table.c.id.desc())).first()
        assert held is not None
        assert (held.taken_by, held.photo) == ("li", "p/1")
        assert "54000 used" in held.answer
        manual_reads.withdraw_read(connection, held.id, by="wang", why="one digit too many")
    with pytest.raises(MissingReadError):
        quantity(homes, "1-101", "2026-11")


def test_a_bill_opens_to_the_reads_that_people_took(homes: Engine) -> None:
    with homes.begin() as connection:
        connection.execute(
            services.insert().values(
                meter_point_id="mp-1-101",
                tariff_id="cn-beijing-electricity-tiered",
                cutover_on=date(2026, 10, 1),
            )
        )
    take(homes, "1-101", "2026-10-01T00:00:00", 3_000)
    take(homes, "1-101", "2026-11-01T00:00:00", 6_000)
    runs.run(homes, "p", "2026-10", allow_unverified=True)
    with homes.begin() as connection:
        opened = evidence_of(connection, "2026-10-1-101-electricity-1")
        closed = connection.execute(select(closings)).all()
    part = opened.items[0].parts[0]
    assert (part.start.count, part.end.count, part.device_id) == (3_000, 6_000, "")
    assert [(row.quantity, row.is_open) for row in closed] == [("30.00", 0)]


def test_an_import_is_tried_dry_and_undone_as_one_act(homes: Engine) -> None:
    rows = [
        read("1-101", "2026-10-01T00:00:00", 3_000),
        read("1-102", "2026-10-01T00:00:00", 4_000),
        read("1-101", "2026-11-01T00:00:00", 2_900),
        read("1-104", "2026-11-01T00:00:00", 1),
        read("1-102", "2026-11-01T00:00:00", 8_100),
    ]

    def bring(*, dry_run: bool) -> manual_reads.ImportReport:
        with homes.begin() as connection:
            return manual_reads.import_reads(
                connection, "p", "oct.xlsx", rows, by="li", dry_run=dry_run, now_us=NOW_US
            )

    tried, done = bring(dry_run=True), bring(dry_run=False)
    answers = [row.judgement for row in tried.rows]
    assert answers == [row.judgement for row in done.rows]
    assert [answer.answer.value for answer in answers].count("refuse") == 2
    assert (tried.import_id, tried.stored, done.stored) == (None, 3, 3)
    with homes.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(table)) == 3
        assert connection.scalar(select(func.count()).select_from(read_imports)) == 1
    assert quantity(homes, "1-102", "2026-10") == Decimal(41)
    assert done.import_id is not None
    with homes.begin() as connection:
        undone = manual_reads.undo_import(connection, done.import_id, by="li", why="wrong month")
    assert undone == 3
    with pytest.raises(MissingReadError):
        quantity(homes, "1-102", "2026-10")
    with pytest.raises(RefusedError, match="undone before"), homes.begin() as connection:
        manual_reads.undo_import(connection, done.import_id, by="li", why="again")


def test_a_round_shows_what_is_missing_and_closes_by_a_rule(homes: Engine) -> None:
    for name in ("1-101", "1-102"):
        take(homes, name, "2026-10-01T00:00:00", 3_000)
    routes = {"B": ["mp-1-103"], "A": ["mp-1-102", "mp-1-101"]}
    with homes.begin() as connection:
        name = reading_rounds.open_round(
            connection, "p", "October", routes, read_on=date(2026, 10, 31), by="li"
        )
        taken = read("1-101", "2026-11-01T00:00:00", 6_100)
        reading_rounds.take_in_round(connection, name, taken, now_us=NOW_US)
        before = reading_rounds.progress(connection, name)
    assert [(route.route, route.read, route.missing) for route in before.routes] == [
        ("A", ("mp-1-101",), ("mp-1-102",)),
        ("B", (), ("mp-1-103",)),
    ]
    again = replace(taken, count=6_101)
    with pytest.raises(RefusedError, match="withdraw that read first"), homes.begin() as connection:
        reading_rounds.take_in_round(connection, name, again, now_us=NOW_US)
    with homes.begin() as connection:
        after = reading_rounds.close_round(connection, name, by="li", estimate=True)
    # 3000 counts in September: 100 a day; the third meter was never read since it was hung
    assert after.counts == (1, 1, 1)
    assert quantity(homes, "1-102", "2026-10") == Decimal(31)
    with pytest.raises(RefusedError, match="closed"), homes.begin() as connection:
        reading_rounds.take_in_round(connection, name, taken, now_us=NOW_US)
    # far less was used: the estimate gives way, and the next bill gets it back
    assert take(homes, "1-102", "2026-12-01T00:00:00", 5_500, confirmed=True) in ("accept", "ask")
    first = quantity(homes, "1-102", "2026-10") + quantity(homes, "1-102", "2026-11")
    assert first == Decimal(25)


def test_a_round_is_of_known_points_each_once(homes: Engine) -> None:
    for routes in ({"A": ["mp-1-101", "mp-1-101"]}, {"A": ["mp-x"]}, {}):
        with pytest.raises(RefusedError, match="routes"), homes.begin() as connection:
            reading_rounds.open_round(
                connection, "p", "x", routes, read_on=date(2026, 10, 31), by="li"
            )


def test_the_balance_of_a_month(homes: Engine) -> None:
    for name, end in (("1-101", 4_000), ("1-102", 5_000), ("1-103", 4_001)):
        take(homes, name, "2026-10-01T00:00:00", 3_000)
        take(homes, name, "2026-11-01T00:00:00", end, confirmed=True)
    span = service.month("2026-10", ZONE)
    with homes.begin() as connection:
        names = [f"mp-1-10{n}" for n in (1, 2, 3)]
        used = {name: service.consumption(connection, name, span) for name in names}
    nodes = [balance.Node(name, "mp-1-101", "sub") for name in names[1:]]
    nodes.append(balance.Node("mp-1-101", None, "master"))
    assert balance.balance_tree(nodes, used)[0].loss == Decimal("-20.01")
