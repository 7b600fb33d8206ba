"""A month of delivered register reads becomes bills, on SQLite and PostgreSQL."""

import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from cloud.billing import runs
from cloud.billing.bill_tables import bills, line_items, pool_shares
from cloud.billing.bill_tables import pool_statements as statements
from cloud.billing.evidence import evidence_of
from cloud.billing.run_tables import bill_runs, exceptions
from cloud.billing.tables import supplier_invoices
from cloud.metering.tables import installs
from cloud.work import due_runs
from tests.fixtures.estate import at, deliver, meter, premise, put_on_file, register, series

BEIJING = "cn-beijing-electricity-tiered"
OCTOBER = date(2026, 10, 1)


def run(engine: Engine, period: str = "2026-10") -> None:
    runs.run(engine, "p", period, allow_unverified=True)


def totals(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {row.id: row.total_fen for row in connection.execute(select(bills))}


def held(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        rows = connection.execute(select(exceptions)).all()
    return {row.subject: row.reason for row in rows}


def beijing_fen(kwh: str) -> int:
    """Price a month by walking the tiers: 240 / 400 kWh, each line rounded half up."""
    left, fen = Fraction(kwh), 0
    for size, price in ((240, "0.4883"), (160, "0.5383"), (10**9, "0.7883")):
        part = min(left, Fraction(size))
        fen += int(part * Fraction(price) * 100 + Fraction(1, 2))
        left -= part
    return fen


def one_home(engine: Engine, **changed: object) -> None:
    with engine.begin() as connection:
        put_on_file(
            connection,
            OCTOBER,
            premises=[premise("1-101")],
            meters=[meter("e-1", **({"premise": "1-101", "tariff": BEIJING} | changed))],
        )


def test_a_month_is_billed_once_and_opens_to_the_words(engine: Engine, tmp_path: Path) -> None:
    one_home(engine)
    reads = series(
        "e-1",
        {
            "2026-10-01T00:00:02": 100_000,
            "2026-10-15T00:00:00": 120_000,
            "2026-11-01T00:00:03": 141_234,
        },
    )
    deliver(engine, tmp_path, reads)
    run(engine)
    run(engine)
    assert totals(engine) == {"2026-10-1-101-electricity-1": beijing_fen("412.34")}
    with engine.connect() as connection:
        opened = evidence_of(connection, "2026-10-1-101-electricity-1")
        assert connection.execute(select(bill_runs)).one().bills == 1
        rows = connection.execute(select(line_items).order_by(line_items.c.position)).all()
    assert [Decimal(row.quantity) for row in rows] == [240, 160, Decimal("12.34")]
    part = opened.items[0].parts[0]
    assert part.counts == 41_234
    assert part.end.count - part.start.count == part.counts
    assert part.start.reads[0].words_hex == "0001 86a0"
    assert bytes.fromhex(part.end.reads[0].words_hex) == (141_234).to_bytes(4, "big")
    assert json.loads(opened.tariff_text)["id"] == BEIJING


def test_a_missing_span_is_estimated_and_conserves_energy(engine: Engine, tmp_path: Path) -> None:
    one_home(engine)
    with engine.begin() as connection:
        connection.execute(update(installs).values(start_count=0))
    # nothing from 20 October to 12 November: the boundary lies inside the gap
    reads = {"2026-10-01T00:00:00": 0, "2026-10-20T00:00:00": 19_000}
    deliver(engine, tmp_path, series("e-1", reads | {"2026-11-12T00:00:00": 42_000}))
    deliver(engine, tmp_path, series("e-1", {"2026-12-01T00:00:00": 61_000}))
    run(engine)
    run(engine, "2026-11")
    with engine.connect() as connection:
        rows = connection.execute(select(bills).order_by(bills.c.period)).all()
    assert [row.estimated for row in rows] == [1, 1]
    assert [Decimal(row.quantity) for row in rows] == [Decimal(310), Decimal(300)]


def test_without_a_closing_read_the_bill_is_held_with_its_reason(
    engine: Engine, tmp_path: Path
) -> None:
    one_home(engine)
    deliver(engine, tmp_path, series("e-1", {"2026-10-01T00:00:00": 5}))
    run(engine)
    assert totals(engine) == {}
    assert "no register read" in held(engine)["mp-e-1"]


def test_a_replaced_meter_and_a_rollover_bill_as_one(engine: Engine, tmp_path: Path) -> None:
    one_home(engine, capacity=1_000_000, max_per_hour=2_000)
    with engine.begin() as connection:
        connection.execute(
            update(installs).values(removed_at_us=at("2026-10-10T12:00:00"), end_count=1_500)
        )
        connection.execute(
            installs.insert().values(
                meter_point_id="mp-e-1",
                meter_id="e-2",
                device_id="e-1",
                point="energy_import",
                exponent=-2,
                multiplier="1",
                installed_at_us=at("2026-10-10T12:00:00"),
                start_count=700,
            )
        )
    # the old register rolls over at 999,999 on its way to 1,500; the new one begins at 700
    old = {"2026-10-01T00:00:00": 999_000, "2026-10-08T00:00:00": 400}
    new = {"2026-10-11T00:00:00": 800, "2026-11-01T00:00:00": 20_700}
    deliver(engine, tmp_path, series("e-1", old | new))
    run(engine)
    expected = Decimal(1_000_000 + 1_500 - 999_000 + 20_000).scaleb(-2)
    with engine.connect() as connection:
        assert Decimal(connection.execute(select(bills)).one().quantity) == expected
    assert totals(engine)["2026-10-1-101-electricity-1"] == beijing_fen(str(expected))


def test_a_false_zero_is_no_consumption(engine: Engine, tmp_path: Path) -> None:
    one_home(engine)
    reads = {"2026-10-01T00:00:00": 4_000, "2026-10-05T00:00:00": 0, "2026-10-05T00:15:00": 4_400}
    deliver(engine, tmp_path, series("e-1", reads | {"2026-11-01T00:00:00": 14_000}))
    run(engine)
    assert totals(engine)["2026-10-1-101-electricity-1"] == beijing_fen("100")


def test_time_of_use_is_rated_by_the_hour(engine: Engine, tmp_path: Path) -> None:
    one_home(engine, tariff="cn-shanghai-electricity-tou", used_before="3100")
    # from 06:00 to 22:00 one kWh an hour, else half a kWh: 31 x 16 peak, 31 x 4 valley
    reads, count = [register("e-1", "2026-10-01T00:00:00", 0)], 0
    for day in range(1, 32):
        for hour in range(24):
            count += 100 if 6 <= hour < 22 else 50
            following = f"2026-10-{day:02}T{hour + 1:02}:00:00"
            if hour == 23:
                following = f"2026-10-{day + 1:02}T00:00:00" if day < 31 else "2026-11-01T00:00:00"
            reads.append(register("e-1", following, count))
    deliver(engine, tmp_path, reads)
    run(engine)
    with engine.connect() as connection:
        rows = connection.execute(select(line_items)).all()
        used = Decimal(connection.execute(select(bills.c.quantity)).scalar_one())
    assert used == 31 * 16 + 31 * 4
    # 20 kWh are left of the first tier: six valley kWh... walk the hours again, independently
    left, cells = Fraction(20), {}
    for _ in range(31):
        for hour in range(24):
            peak = 6 <= hour < 22
            step = Fraction(1) if peak else Fraction(1, 2)
            first = min(left, step)
            left -= first
            for tier, part in ((1, first), (2, step - first)):
                if part:
                    cells[tier, peak] = cells.get((tier, peak), 0) + part
    prices = {(1, True): "0.617", (1, False): "0.307", (2, True): "0.677", (2, False): "0.337"}
    expected = sum(
        int(quantity * Fraction(prices[cell]) * 100 + Fraction(1, 2))
        for cell, quantity in cells.items()
    )
    assert sum(row.amount_fen for row in rows) == expected


def test_annual_tiers_follow_what_was_billed_before(engine: Engine, tmp_path: Path) -> None:
    one_home(
        engine,
        service="water",
        point="total_positive",
        exponent=-3,
        tariff="cn-beijing-water",
        used_before="175.5",
    )
    reads = {"2026-10-01T00:00:00": 0, "2026-11-01T00:00:00": 10_000, "2026-12-01T00:00:00": 90_000}
    deliver(engine, tmp_path, series("e-1", reads, point="total_positive"))
    run(engine)
    run(engine, "2026-11")
    # October: 4.5 at 5 and 5.5 at 7 yuan; November: 74.5 at 7 and 5.5 at 9 yuan
    assert totals(engine) == {
        "2026-10-1-101-water-1": 2250 + 3850,
        "2026-11-1-101-water-1": 52150 + 4950,
    }


def test_an_unverified_tariff_is_refused_unless_overridden(engine: Engine, tmp_path: Path) -> None:
    one_home(engine)
    deliver(engine, tmp_path, series("e-1", {"2026-10-01T00:00:00": 0, "2026-11-01T00:00:00": 9}))
    runs.run(engine, "p", "2026-10")
    assert totals(engine) == {}
    assert "verified" in held(engine)["mp-e-1"]


def building(engine: Engine, public_cap: str = "20") -> None:
    homes = {"1-101": "118.62", "1-102": "89.45", "1-201": "98.76"}
    pool = {"building": "b1", "name_en": "Pool", "master": "mp-m", "by": "area"}
    resolution = {"resolution": "决议 2025-03", "resolution_on": date(2025, 3, 1)}
    with engine.begin() as connection:
        put_on_file(
            connection,
            OCTOBER,
            premises=[premise(name, area) for name, area in homes.items()],
            meters=[
                meter("m", role="master", supply="public", multiplier="40"),
                meter("light", role="public", supply="public", parent="mp-m"),
                *(
                    meter(f"e-{name}", premise=name, parent="mp-m", tariff=BEIJING)
                    for name in homes
                ),
            ],
            pools=[
                pool
                | resolution
                | {"id": "public", "name": "照明", "kind": "public"}
                | {"cap_percent": public_cap},
                pool
                | resolution
                | {"id": "loss", "name": "线损", "kind": "loss"}
                | {"cap_percent": "5"},
                pool | {"id": "off", "name": "未决议", "kind": "loss"},
            ],
            invoices=[{"master": "mp-m", "number": "F-1", "quantity": "1000", "amount": "519.07"}],
        )


def month_of_building(master_end: int) -> list[tuple[str, int]]:
    return [
        ("m", master_end),
        ("light", 7_777),
        ("e-1-101", 20_000),
        ("e-1-102", 30_001),
        ("e-1-201", 10_003),
    ]


@pytest.mark.parametrize(
    ("master_end", "charged", "note"),
    [
        (1_750, "22.19", ""),
        # 26 kWh of 726 are above the cap of 5 %: the company bears them
        (1_815, "36.3", "capped"),
        # the master shows less than its subs
        (1_600, "0", "carried forward"),
    ],
)
def test_pools_add_up_to_the_fen(
    engine: Engine, tmp_path: Path, master_end: int, charged: str, note: str
) -> None:
    building(engine)
    reads = []
    for device, end in month_of_building(master_end):
        ends = {"2026-10-01T00:00:00": 0, "2026-11-01T00:00:00": end}
        reads += series(device, ends)
    deliver(engine, tmp_path, reads)
    run(engine)
    with engine.connect() as connection:
        sheets = {row.pool_id: row for row in connection.execute(select(statements))}
        shares = connection.execute(select(pool_shares)).all()
        shared = connection.execute(select(bills).where(bills.c.service == "shared")).all()
    assert sheets.keys() == {"public", "loss"}, "a pool without a resolution is off"
    for name, sheet in sheets.items():
        assert sum(row.amount_fen for row in shares if row.pool_id == name) == sheet.total_fen
        balance = Decimal(sheet.subs) + Decimal(sheet.public) + Decimal(sheet.loss)
        assert balance == Decimal(sheet.master) == Decimal(master_end * 40).scaleb(-2)
        price = Fraction("519.07") / 1000
        exact = Fraction(sheet.charged) * price * 100
        assert abs(sheet.total_fen - exact) <= Fraction(1, 2)
    assert Decimal(sheets["loss"].charged) == Decimal(charged)
    assert note in sheets["loss"].note
    assert all(row.amount_fen >= 0 for row in shares)
    assert sum(row.total_fen for row in shared) == sum(sheet.total_fen for sheet in sheets.values())


def test_public_use_above_its_cap_stays_with_the_company(engine: Engine, tmp_path: Path) -> None:
    building(engine, public_cap="10")
    reads = []
    for device, end in month_of_building(1_750):
        ends = {"2026-10-01T00:00:00": 0, "2026-11-01T00:00:00": end}
        reads += series(device, ends)
    deliver(engine, tmp_path, reads)
    run(engine)
    with engine.connect() as connection:
        sheets = {row.pool_id: row for row in connection.execute(select(statements))}
    assert Decimal(sheets["public"].charged) == 70
    assert "the company bears 7.77" in sheets["public"].note


def test_a_share_opens_public_meters_but_no_neighbour(engine: Engine, tmp_path: Path) -> None:
    building(engine)
    reads = []
    for device, end in month_of_building(1_750):
        ends = {"2026-10-01T00:00:00": 0, "2026-11-01T00:00:00": end}
        reads += series(device, ends)
    deliver(engine, tmp_path, reads)
    run(engine)
    with engine.connect() as connection:
        opened = evidence_of(connection, "2026-10-1-101-shared-1")
    points = {part.meter_point for item in opened.items for part in item.parts}
    assert points == {"mp-m", "mp-light"}
    assert sum(item.statement.share_fen for item in opened.items if item.statement) == (
        opened.total_fen
    )


def test_a_missing_sub_meter_holds_the_pool(engine: Engine, tmp_path: Path) -> None:
    building(engine)
    reads = []
    for device, end in month_of_building(1_750)[:-1]:
        ends = {"2026-10-01T00:00:00": 0, "2026-11-01T00:00:00": end}
        reads += series(device, ends)
    deliver(engine, tmp_path, reads)
    run(engine)
    assert "mp-e-1-201" in held(engine)
    assert "mp-e-1-201" in held(engine)["pool/loss"]
    with engine.connect() as connection:
        assert connection.execute(select(statements)).all() == []


def test_without_a_suppliers_invoice_nothing_is_shared(engine: Engine, tmp_path: Path) -> None:
    building(engine)
    with engine.begin() as connection:
        connection.execute(supplier_invoices.delete())
    reads = []
    for device, end in month_of_building(1_750):
        ends = {"2026-10-01T00:00:00": 0, "2026-11-01T00:00:00": end}
        reads += series(device, ends)
    deliver(engine, tmp_path, reads)
    run(engine)
    assert "invoice" in held(engine)["pool/loss"]


def test_a_run_is_due_when_every_meter_was_delivered(engine: Engine, tmp_path: Path) -> None:
    one_home(engine)
    now_us = at("2026-11-02T08:00:00")

    def due() -> list[tuple[str, str]]:
        with engine.connect() as connection:
            return due_runs(connection, now_us)

    assert due() == []
    deliver(engine, tmp_path, series("e-1", {"2026-10-01T00:00:00": 0}))
    assert due() == []
    deliver(engine, tmp_path, series("e-1", {"2026-11-01T00:00:01": 9}))
    assert due() == [("p", "2026-10")]
    run(engine)
    assert due() == []


def test_nothing_before_the_cutover_is_billed(engine: Engine, tmp_path: Path) -> None:
    one_home(engine)
    reads = {"2026-09-01T00:00:00": 0, "2026-10-01T00:00:00": 9}
    deliver(engine, tmp_path, series("e-1", reads))
    run(engine, "2026-09")
    assert totals(engine) == {}
