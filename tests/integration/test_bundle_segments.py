"""Bundles of bills of every kind that a run posts: moves, tariff changes, shared meters, fees."""

import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from cloud.billing import runs, tariff_book
from cloud.billing.bill_tables import bills
from cloud.billing.bundle import bundle_of
from cloud.billing.single_charges import SingleCharge, charge_once
from cloud.billing.verify_bill import DiffersError, verify
from cloud.ledger.service import Teller
from cloud.ledger.tenancies import move_in, move_out
from cloud.metering import manual_reads
from cloud.metering import service as metering
from cloud.metering.manual_repository import ManualRead
from cloud.metering.tables import installs
from cloud.tariffs.files import load_tariffs
from cloud.tariffs.tariff import Tariff
from tests.fixtures.estate import at, meter, premise, put_on_file
from tests.fixtures.mutations import rewritten

Json = dict[str, Any]
BY_HAND = {"gateway": None, "device": None, "profile": None, "point": None}
WATER = {"service": "water", "exponent": -3, "tariff": "cn-beijing-water"}
CHANGE = date(2026, 10, 16)


@pytest.fixture
def estate(engine: Engine) -> Engine:
    """Give two homes with water by annual tiers and time of use, and a quarterly fee."""
    fee = {"premise": "1-101", "item": "fee", "tariff": "cn-property-fee-area"}
    hours = {"tariff": "cn-shanghai-electricity-tou", "used_before": "3100"}
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 10, 1),
            premises=[premise("1-101"), premise("1-102", "95.35")],
            meters=[
                meter("w1", premise="1-101", **WATER, **BY_HAND, used_before="170"),
                meter("w2", premise="1-102", **WATER, **BY_HAND),
                meter("e1", premise="1-101", **hours, **BY_HAND),
            ],
            charges=[fee | {"cycle": "quarter", "in_advance": True, "from_on": "2026-10-11"}],
        )
    return engine


def read(engine: Engine, name: str, **counts: int) -> int:
    """Store reads as somebody took them, d1016 on 16 October; return the id of the last."""
    last = 0
    with engine.begin() as connection:
        for day, count in counts.items():
            when = at(f"2026-{day[1:3]}-{day[3:]}T00:00:00")
            taken = ManualRead(
                meter_point_id=f"mp-{name}", read_at_us=when, count=count, taken_by="li"
            )
            last = manual_reads.store(connection, taken)
    return last


def bundles(engine: Engine, month: str = "2026-10") -> dict[tuple[str, str], bytes]:
    """Bill a month, and return the bundles of all its bills: each holds."""
    runs.run(engine, "p", month, allow_unverified=True)
    with engine.connect() as connection:
        rows = connection.execute(select(bills).where(bills.c.period == month)).all()
        found = {
            (row.account_id, row.service): bundle_of(connection, row.id)
            for row in sorted(rows, key=lambda row: row.revision)
        }
    for raw in found.values():
        assert verify(raw)
    return found


def segments(raw: bytes) -> Sequence[Json]:
    found: Sequence[Json] = json.loads(raw)["segments"]
    return found


def two_versions(tariff: Tariff) -> list[Tariff]:
    """Return a tariff whose prices were changed on a day."""
    rates = tuple(
        rate.model_copy(
            update={
                "prices": {code: price + 1 for code, price in rate.prices.items()},
                "total": None,
            }
        )
        for rate in tariff.rates
    )
    after = {"version": "2", "effective_from": CHANGE, "rates": rates}
    return [
        tariff.model_copy(update={"effective_to": CHANGE}),
        tariff.model_copy(update=after),
    ]


def test_a_tariff_that_changes_within_a_month_and_a_fee_by_the_quarter(
    estate: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tariffs = [
        made
        for tariff in load_tariffs()
        for made in (two_versions(tariff) if tariff.id == WATER["tariff"] else [tariff])
    ]
    monkeypatch.setattr(tariff_book, "built_in", lambda: tariffs)
    read(estate, "w1", d1001=0, d1016=15_000, d1101=22_500)
    found = bundles(estate)
    first, second = segments(found["1-101", "water"])
    assert (first["inputs"]["used_before"], second["inputs"]["used_before"]) == ("170", "185.000")
    assert first["tariff"]["sha256"] != second["tariff"]["sha256"]
    assert first["parts"][0]["end"] == second["parts"][0]["start"]
    told = verify(found["1-101", "water"])
    assert "2 段 segments" in "".join(told)
    # the fee begins within a month: a part of it, then whole ones
    fee = segments(found["1-101", "fee"])
    assert [(each["inputs"]["from_on"], each["inputs"]["to_on"]) for each in fee] == [
        ("2026-10-11", "2026-11-01"),
        ("2026-11-01", "2027-01-01"),
    ]
    assert [each["inputs"]["premise"] for each in fee] == [
        {"area_m2": "80.00", "people": None, "households": None, "floor": None, "vehicles": None}
    ] * 2
    assert "不计量 not metered" in "".join(verify(found["1-101", "fee"]))


def test_households_that_move_pay_their_own_days(estate: Engine) -> None:
    with estate.begin() as connection:
        move_out(connection, "p", "1-101", on=date(2026, 10, 11))
        made = move_in(connection, "p", "1-101", holder="新户主", on=date(2026, 10, 21))
    read(estate, "w1", d1001=0, d1011=15_000, d1021=15_500, d1101=21_500)
    found = bundles(estate)
    assert {key for key, _ in found} == {"1-101", made}
    document = json.loads(found[made, "water"])
    assert (document["bill"]["from_on"], document["bill"]["to_on"]) == ("2026-10-21", "2026-11-01")
    document["bill"]["from_on"] = document["segments"][0]["inputs"]["from_on"] = "2026-10-20"
    with pytest.raises(DiffersError, match="at_us"):
        verify(rewritten(document, renewed=True))


def test_a_meter_of_several_homes_is_weighed(estate: Engine) -> None:
    with estate.begin() as connection:
        metering.give_to_accounts(
            connection,
            "mp-w2",
            {"1-101": Decimal(1), "1-102": Decimal("2.5")},
            from_us=at("2026-10-01T00:00:00"),
        )
        metering.give_to_accounts(
            connection,
            "mp-e1",
            {"1-101": Decimal(1), "1-102": Decimal(2)},
            from_us=at("2026-10-01T00:00:00"),
        )
    read(estate, "w1", d1001=0, d1101=10_000)
    read(estate, "w2", d1001=0, d1101=10_001)
    read(estate, "e1", d1001=0, d1101=74_400)
    found = bundles(estate)
    mine, other = found["1-101", "water"], found["1-102", "water"]
    (segment,) = segments(mine)
    assert segment["inputs"]["shares"] == [
        {"meter_point": "mp-w2", "weight": "1", "weight_total": "3.5"}
    ]
    used = [Decimal(json.loads(raw)["bill"]["quantity"]) for raw in (mine, other)]
    assert sum(used) == Decimal("20.001")
    assert "1 个分摊计量点 shared meters" in "".join(verify(other))
    assert b"mp-w1" not in other, "a neighbour"
    document = json.loads(mine)
    document["segments"][0]["inputs"]["shares"] = []
    with pytest.raises(DiffersError, match=r"inputs.quantity: found .*, expected"):
        verify(rewritten(document, renewed=True))
    # the hours of a home's part are its own: their sum is proven
    told = "".join(verify(found["1-102", "electricity"]))
    assert "month split over its hours by the biller's word" in told


def test_a_meter_that_was_hung_within_an_hour_has_its_own_hours(estate: Engine) -> None:
    with estate.begin() as connection:
        row = installs.c.meter_point_id == "mp-e1"
        gone = {"removed_at_us": at("2026-10-10T12:10:00"), "end_count": 1_500}
        connection.execute(update(installs).where(row).values(**gone))
        new = {"meter_point_id": "mp-e1", "meter_id": "e-2", "exponent": -2, "multiplier": "1"}
        new |= {"installed_at_us": at("2026-10-10T12:40:00"), "start_count": 700}
        connection.execute(installs.insert().values(**new))
    read(estate, "e1", d1001=0, d1011=800, d1101=20_700)
    raw = bundles(estate)["1-101", "electricity"]
    (segment,) = segments(raw)
    assert [len(part["hours"]) for part in segment["parts"]] == [9 * 24 + 12, 21 * 24 + 11]
    hours = segment["inputs"]["intervals"]
    assert len(hours) == 31 * 24
    assert hours[9 * 24 + 12][:2] == ["2026-10-10T04:00:00+00:00", "2026-10-10T05:00:00+00:00"]
    document = json.loads(raw)
    document["segments"][0]["parts"][1]["hours"].pop(3)
    with pytest.raises(DiffersError, match="hours: none at"):
        verify(rewritten(document, renewed=True))


def test_bills_that_are_taken_back_and_single_charges(estate: Engine) -> None:
    with estate.begin() as connection:
        teller = Teller("p", "wang", at("2026-10-07T09:00:00"))
        wanted = SingleCharge("repair", "更换水龙头", 58_00)
        single = charge_once(connection, teller, "1-101", wanted, key="a")
        told = verify(bundle_of(connection, single))
    assert told[1] == "临时收费 a single charge: nothing but its sum can be checked"
    last = read(estate, "w1", d1001=0, d1101=10_000)
    before = bundles(estate)["1-101", "water"]
    assert json.loads(before)["credit"] is None
    with estate.begin() as connection:
        manual_reads.withdraw_read(connection, last, by="wang", why="misread")
    read(estate, "w1", d1101=11_000)
    runs.revise(estate, "p", "2026-10", reason="misread", by="wang", allow_unverified=True)
    with estate.connect() as connection:
        old, new = (bundle_of(connection, f"2026-10-1-101-water-{n}") for n in (1, 2))
    assert json.loads(old)["credit"]["reason"] == "misread"
    assert "taken back by credit note C00000001, -50.00 元: misread" in verify(old)[1]
    assert json.loads(new)["bill"]["quantity"] == "11.000"
    assert verify(new)
