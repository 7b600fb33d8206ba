"""Events, verdicts, edits, estimates and true-ups of meter points, on SQLite and PostgreSQL."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from cloud.billing import runs, tariff_book
from cloud.billing.bill_tables import bills
from cloud.billing.evidence import evidence_of
from cloud.errors import RefusedError
from cloud.metering import edits, recording, service, verification
from cloud.metering import verdict_repository as verdicts
from cloud.metering.events import EventError, EventKind, MeterEvent, MeterParts, RunRule
from cloud.metering.registers import Consumption, MissingReadError
from cloud.metering.screening import Rule
from cloud.tariffs.files import load_tariffs
from tests.fixtures.estate import at, deliver, meter, premise, put_on_file, series

BEIJING = "cn-beijing-electricity-tiered"
ZONE = ZoneInfo("Asia/Shanghai")
POINT = "mp-e-1"


def one_home(engine: Engine, **changed: object) -> None:
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 10, 1),
            premises=[premise("1-101")],
            meters=[meter("e-1", **({"premise": "1-101", "tariff": BEIJING} | changed))],
        )


def record(engine: Engine, kind: EventKind, when: str, **values: object) -> int:
    with engine.begin() as connection:
        event = MeterEvent(kind=kind, at_us=at(when), by="fitter", why="job 7", **values)  # type: ignore[arg-type]  # values of a test
        return recording.record(connection, POINT, event)


def used(engine: Engine, period: str, *, estimate_end: bool = False) -> Consumption:
    with engine.begin() as connection:
        span = service.month(period, ZONE)
        return service.consumption(connection, POINT, span, estimate_end=estimate_end)


def rules(engine: Engine) -> list[tuple[str, int]]:
    with engine.begin() as connection:
        verification.screen_point(connection, POINT)
        return [(item.rule.value, item.reads) for item in verdicts.findings_of(connection, POINT)]


def test_every_event_keeps_the_consumption_whole(engine: Engine, tmp_path: Path) -> None:
    one_home(engine, capacity=1_000_000, max_per_hour=2_000)
    reads = {"2026-10-01T00:00:00": 100, "2026-10-05T00:00:00": 600}
    # after a reset at 700, a test from 50 to 450 and a new transformer (x 2) at 1000
    reads |= {"2026-10-09T00:00:00": 20, "2026-10-11T00:00:00": 300, "2026-10-13T00:00:00": 470}
    reads |= {"2026-10-20T00:00:00": 1_400, "2026-11-01T00:00:00": 3_100}
    deliver(engine, tmp_path, series("e-1", reads))
    record(engine, EventKind.RESET, "2026-10-06T00:00:00", before_count=700, after_count=0)
    record(
        engine,
        EventKind.TEST,
        "2026-10-10T00:00:00",
        until_us=at("2026-10-12T00:00:00"),
        before_count=50,
        after_count=450,
        rule=RunRule.FREE,
    )
    record(
        engine,
        EventKind.MULTIPLIER,
        "2026-10-15T00:00:00",
        before_count=1_000,
        multiplier=Decimal(2),
    )
    counted = (700 - 100) + 50 + (1_000 - 450) + 2 * (3_100 - 1_000)
    assert used(engine, "2026-10").quantity == Decimal(counted).scaleb(-2)


def test_a_declared_rollover_needs_no_limit(engine: Engine, tmp_path: Path) -> None:
    one_home(engine, capacity=1_000_000)
    reads = {"2026-10-01T00:00:00": 999_000, "2026-10-20T00:00:00": 400}
    deliver(engine, tmp_path, series("e-1", reads | {"2026-11-01T00:00:00": 900}))
    with pytest.raises(MissingReadError):
        used(engine, "2026-10")
    when = "2026-10-15T00:00:00"
    record(engine, EventKind.ROLLOVER, when, before_count=999_999, after_count=1)
    assert used(engine, "2026-10").quantity == Decimal(1_900).scaleb(-2)


def test_a_correction_is_a_new_event_and_nothing_is_overwritten(
    engine: Engine, tmp_path: Path
) -> None:
    one_home(engine)
    reads = {"2026-10-01T00:00:00": 0, "2026-10-31T00:00:00": 500, "2026-11-01T00:00:00": 510}
    deliver(engine, tmp_path, series("e-1", reads))
    parts = MeterParts(meter_id="e-9", exponent=-2, device_id="e-1", point="energy_import")
    swap = {"before_count": 300, "after_count": 0, "parts": parts}
    wrong = record(engine, EventKind.REPLACE, "2026-10-10T00:00:00", **swap)
    assert used(engine, "2026-10").quantity == Decimal("8.10")
    swap["before_count"] = 200
    record(engine, EventKind.REPLACE, "2026-10-10T00:00:00", supersedes=wrong, **swap)
    assert used(engine, "2026-10").quantity == Decimal("7.10")
    with pytest.raises(EventError, match="superseded"):
        record(engine, EventKind.VOID, "2026-10-10T00:00:00", supersedes=wrong)
    with pytest.raises(DBAPIError, match="recorded is recorded"), engine.begin() as connection:
        connection.execute(text("UPDATE meter_events SET before_count = 1"))


def test_verdicts_are_stored_and_an_edit_is_a_version(engine: Engine, tmp_path: Path) -> None:
    one_home(engine)
    reads = {"2026-10-01T00:00:00": 4_000, "2026-10-05T00:00:00": 0, "2026-10-05T01:00:00": 4_400}
    reads |= {"2026-10-07T00:00:00": 90_000, "2026-10-07T01:00:00": 4_600}
    reads |= {"2026-10-08T00:00:00": 4_700, "2026-11-01T00:00:00": 14_000}
    deliver(engine, tmp_path, series("e-1", reads))
    # all but the last came in more than a day after they were read
    assert rules(engine) == [("late", 1), ("false-zero", 1), ("late", 5), ("spike", 1)]
    assert used(engine, "2026-10").quantity == Decimal(100)
    with engine.connect() as connection:
        spike = verdicts.findings_of(connection, POINT, rules=[Rule.SPIKE])[0]
    assert (spike.against_at_us, spike.against_count) == (at("2026-10-07T01:00:00"), 4_600)
    with engine.connect() as connection:
        last = used(engine, "2026-10").parts[-1].end.reads[0]
    with engine.begin() as connection:
        made = edits.edit_read(
            connection,
            POINT,
            read_at_us=last.read_at_us,
            source=last.source,
            action="replace",
            count=13_000,
            by="clerk",
            why="photo says 130.00",
        )
    changed = used(engine, "2026-10")
    assert changed.quantity == Decimal(90)
    assert changed.parts[-1].end.reads[0].source == f"edit-{made.id}"
    with engine.begin() as connection:
        edits.edit_read(
            connection,
            POINT,
            read_at_us=last.read_at_us,
            source=last.source,
            action="raw",
            by="clerk",
            why="the photo was of another meter",
        )
    assert used(engine, "2026-10").quantity == Decimal(100)
    with engine.connect() as connection:
        assert [edit.version for edit in verdicts.edits_of(connection, [POINT])[POINT]] == [1, 2]
    with pytest.raises(RefusedError, match="no read of"), engine.begin() as connection:
        edits.edit_read(
            connection, POINT, read_at_us=1, source="1:00", action="reject", by="x", why="y"
        )


def test_late_reads_change_the_verdicts_as_if_they_had_been_in_time(
    engine: Engine, tmp_path: Path
) -> None:
    one_home(engine, capacity=1_000_000, max_per_hour=1_000)
    hours = {
        f"2026-10-{day:02}T{hour:02}:00:00": (day * 24 + hour) * 10
        for day in range(1, 31)
        for hour in range(0, 24, 3)
    }
    dirty = hours | {"2026-10-08T03:00:00": 0, "2026-10-21T06:00:00": 999_999}
    early = {when: count for when, count in dirty.items() if "10-09" < when[5:] < "10-18"}
    middle = {when: count for when, count in dirty.items() if when[5:] >= "10-18"}
    deliver(engine, tmp_path, series("e-1", early))
    rules(engine)
    deliver(engine, tmp_path, series("e-1", middle))
    rules(engine)
    deliver(engine, tmp_path, series("e-1", dirty))
    in_pieces = stored(engine)
    assert {rule for rule, _, _ in in_pieces} >= {"false-zero", "spike"}
    with engine.begin() as connection:
        verification.screen_point(connection, POINT, anew=True)
    assert stored(engine) == in_pieces
    with engine.begin() as connection:
        assert verification.screen_point(connection, POINT) == 0
    newest = series("e-1", {"2026-10-31T00:00:00": 31 * 240})
    deliver(engine, tmp_path, newest)
    with engine.begin() as connection:
        assert verification.screen_point(connection, POINT) <= 2


def stored(engine: Engine) -> list[tuple[str, int, str]]:
    with engine.begin() as connection:
        verification.screen_point(connection, POINT)
        found = verdicts.findings_of(connection, POINT)
    return [(item.rule.value, item.read_at_us, str(item)) for item in found]


def test_an_estimated_end_is_trued_up_by_the_next_bills(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_home(engine)
    estimate_missing_ends(monkeypatch)
    # 100 counts a day until 21 October, then silence into November, and ever less
    days = {f"2026-10-{day:02}T00:00:00": day * 100 for day in range(1, 22)}
    deliver(engine, tmp_path, series("e-1", days))
    run(engine, "2026-10")
    deliver(engine, tmp_path, series("e-1", {"2026-12-01T00:00:00": 2_150}))
    run(engine, "2026-11")
    deliver(engine, tmp_path, series("e-1", {"2027-01-01T00:00:00": 6_150}))
    run(engine, "2026-12")
    with engine.connect() as connection:
        rows = connection.execute(select(bills).order_by(bills.c.period)).all()
    quantities = [Decimal(row.quantity) for row in rows]
    assert quantities[0] == Decimal(31), "31 days at one kWh"
    assert quantities[1] == 0, "more was billed than used: nothing until it is used up"
    assert sum(quantities) == Decimal(6_150 - 100).scaleb(-2)
    with engine.connect() as connection:
        opened = evidence_of(connection, rows[2].id)
    assert opened.items


def run(engine: Engine, period: str) -> None:
    runs.run(engine, "p", period, allow_unverified=True)


def estimate_missing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    tariffs = [
        tariff.model_copy(update={"missing_end": "estimate"}) if tariff.id == BEIJING else tariff
        for tariff in load_tariffs()
    ]
    monkeypatch.setattr(tariff_book, "built_in", lambda: tariffs)


def test_a_gateway_that_was_replaced_goes_on_with_the_same_meter(
    engine: Engine, tmp_path: Path
) -> None:
    one_home(engine)
    deliver(engine, tmp_path, series("e-1", {"2026-10-01T00:00:00": 5}))
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO channels (gateway_id, device_id, point, uom, exponent)"
                " VALUES ('gw-2', 'e-1', 'energy_import', 'kWh', -2)"
            )
        )
    deliver(engine, tmp_path, series("e-1", {"2026-11-01T00:00:00": 15}))
    assert used(engine, "2026-10").quantity == Decimal("0.10")
