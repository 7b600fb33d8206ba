"""Moves 迁入迁出: each household pays its own days, and annual tiers go with the household."""

from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from cloud.billing import bill_repository, runs
from cloud.billing.bill_repository import Standing
from cloud.errors import NotFoundError, RefusedError
from cloud.ledger.tenancies import move_in, move_out
from cloud.metering import manual_reads
from cloud.metering.manual_repository import ManualRead
from tests.fixtures.estate import at, meter, premise, put_on_file

BY_HAND = {"gateway": None, "device": None, "profile": None, "point": None}


@pytest.fixture
def estate(engine: Engine) -> Engine:
    """Give two homes with water by annual tiers, and a monthly fee for one of them."""
    water = {"service": "water", "exponent": -3, "tariff": "cn-beijing-water"}
    fee = {"premise": "1-101", "item": "property-fee", "tariff": "cn-property-fee-area"}
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 9, 1),
            premises=[premise("1-101"), premise("1-102")],
            meters=[
                meter("w1", premise="1-101", **water, **BY_HAND, used_before="170"),
                meter("w2", premise="1-102", **water, **BY_HAND),
            ],
            charges=[fee | {"from_on": "2026-09-01"}],
        )
    return engine


def read(engine: Engine, name: str, **counts: int) -> None:
    with engine.begin() as connection:
        for day, count in counts.items():
            when = at(f"2026-{day[1:3]}-{day[3:]}T00:00:00")
            taken = ManualRead(
                meter_point_id=f"mp-{name}", read_at_us=when, count=count, taken_by="li"
            )
            manual_reads.store(connection, taken)


def bills(engine: Engine, month: str, *names: str) -> dict[tuple[str, str], Standing]:
    runs.run(engine, "p", month, allow_unverified=True)
    with engine.connect() as connection:
        held = bill_repository.standing(connection, names, since=date(2026, 1, 1))
    return {(bill.account_id, bill.service): bill for bill in held if bill.period == month}


def test_each_household_pays_its_own_days(estate: Engine) -> None:
    with estate.begin() as connection:
        move_out(connection, "p", "1-101", on=date(2026, 9, 11))
        made = move_in(connection, "p", "1-101", holder="新户主", on=date(2026, 9, 21))
    read(estate, "w1", d0901=0, d0911=15_000, d0921=15_500, d1001=21_500)
    found = bills(estate, "2026-09", "1-101", made)
    old, new = found["1-101", "water"], found[made, "water"]
    assert (old.from_on, old.to_on, old.quantity) == (
        date(2026, 9, 1),
        date(2026, 9, 11),
        Decimal("15.000"),
    )
    # 170 m3 were used before: 10 are left of the first tier
    assert old.total_fen == 10 * 500 + 5 * 700
    assert (new.from_on, new.quantity, new.total_fen) == (
        date(2026, 9, 21),
        Decimal("6.000"),
        6 * 500,
    )
    assert found["1-101", "property-fee"].total_fen == 80 * 150 * 10 // 30
    assert (made, "property-fee") not in found, "its fee is agreed upon with each household"


def test_a_household_that_moves_within_the_estate_keeps_its_tiers(estate: Engine) -> None:
    with estate.begin() as connection:
        for name in ("1-101", "1-102"):
            move_out(connection, "p", name, on=date(2026, 10, 1))
        made = move_in(
            connection, "p", "1-102", holder="业主 1-101", on=date(2026, 10, 1), continues="1-101"
        )
    read(estate, "w1", d0901=0, d1001=5_000)
    read(estate, "w2", d0901=0, d1001=1_000, d1101=21_000)
    bills(estate, "2026-09")
    found = bills(estate, "2026-10", made)
    # 175 of the first 180 m3 were used in the other home
    assert found[made, "water"].total_fen == 5 * 500 + 15 * 700


def test_nonsense_is_refused(estate: Engine) -> None:
    with estate.begin() as connection:
        with pytest.raises(NotFoundError):
            move_out(connection, "p", "nobody", on=date(2026, 9, 2))
        with pytest.raises(RefusedError, match="allowed is a day after 2026-09-01"):
            move_out(connection, "p", "1-101", on=date(2026, 9, 1))
        with pytest.raises(RefusedError, match="account 1-101 holds the premise until an open end"):
            move_in(connection, "p", "1-101", holder="x", on=date(2026, 9, 9))
        move_out(connection, "p", "1-101", on=date(2026, 9, 9))
        with pytest.raises(RefusedError, match="was closed on 2026-09-09"):
            move_out(connection, "p", "1-101", on=date(2026, 9, 10))
        with pytest.raises(RefusedError, match="holder"):
            move_in(connection, "p", "1-101", holder=" ", on=date(2026, 9, 9))
        with pytest.raises(RefusedError, match="continues: '1-102': allowed is a closed account"):
            move_in(connection, "p", "1-101", holder="x", on=date(2026, 9, 9), continues="1-102")
