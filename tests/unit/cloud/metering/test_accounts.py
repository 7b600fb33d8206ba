"""Several meters of one household, one meter of several premises."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.metering.accounts import AccountError, AccountShare, Metered, parts_of, use_by_account
from cloud.metering.registers import Consumption
from cloud.metering.service import Hour, spread
from protocols.delivery.records import EPOCH


def use(quantity: str, *, estimated: bool = False) -> Consumption:
    return Consumption(Decimal(quantity), estimated, ())


def test_meters_add_up_by_account_and_parts_by_weight() -> None:
    points = [
        Metered("e1", "electricity", "1-101"),
        Metered("e2", "electricity", "1-101"),
        Metered("w", "water", "1-101"),
        Metered("x", "electricity", None),
    ]
    shares = [AccountShare(name, "x", Decimal(1)) for name in ("1-101", "1-102", "1-103")]
    used = {"e1": use("3.01"), "e2": use("4", estimated=True), "w": use("2"), "x": use("0.10")}
    found = use_by_account(points, shares, used)
    assert found["1-101", "electricity"].quantity == Decimal("7.05")
    assert found["1-101", "electricity"].estimated
    assert [found[f"1-10{n}", "electricity"].by_meter_point["x"] for n in (1, 2, 3)] == [
        Decimal("0.04"),
        Decimal("0.03"),
        Decimal("0.03"),
    ]
    assert not found["1-101", "water"].estimated


def test_an_account_with_an_unknown_meter_is_left_out() -> None:
    points = [Metered("e1", "electricity", "a"), Metered("e2", "electricity", "a")]
    assert use_by_account(points, [], {"e1": use("3")}) == {}


@given(
    st.decimals(0, 10**9, places=3),
    st.lists(st.decimals("0.01", 1_000, places=2), min_size=1, max_size=9),
)
def test_parts_add_up_whatever_the_order(quantity: Decimal, weights: list[Decimal]) -> None:
    shares = [AccountShare(f"a{n}", "x", weight) for n, weight in enumerate(weights)]
    parts = parts_of(quantity, shares)
    assert sum(parts.values()) == quantity
    assert parts == parts_of(quantity, shares[::-1])
    total = sum(weights)
    for share in shares:
        assert abs(parts[share.account_id] - quantity * share.weight / total) < Decimal("0.002")


@pytest.mark.parametrize("weights", [["0"], ["1", "-1"], []])
def test_weights_that_say_nothing_are_refused(weights: list[str]) -> None:
    shares = [AccountShare(f"a{n}", "x", Decimal(weight)) for n, weight in enumerate(weights)]
    with pytest.raises(AccountError, match="weights"):
        parts_of(Decimal(1), shares)


def test_hours_are_scaled_to_what_is_billed() -> None:
    hours = [Hour(EPOCH, EPOCH, Decimal(q), estimated=False) for q in ("1.00", "3.00", "0")]
    made = spread(hours, Decimal("2.01"))
    assert [hour.quantity for hour in made] == [Decimal("0.50"), Decimal("1.51"), 0]
    assert sum(hour.quantity for hour in spread(made[2:] * 3, Decimal("0.10"))) == Decimal("0.10")
