"""One meter point of several accounts."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.metering.accounts import AccountError, AccountShare, parts_of
from cloud.metering.service import Hour, spread
from protocols.delivery.records import EPOCH


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
