"""Sharing a pool: exact, fair, indifferent to order."""

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.billing.allocation import AllocationError, NegativePoolError, allocate

WEIGHTS = st.dictionaries(
    st.text(alphabet="abc123-", min_size=1, max_size=6),
    st.decimals(0, 10_000, places=3, allow_nan=False),
    min_size=1,
    max_size=30,
).filter(lambda weights: any(weights.values()))


@given(st.integers(0, 10**12), WEIGHTS, st.randoms())
def test_shares_add_up_and_stay_within_a_fen_of_the_ideal(
    total_fen: int, weights: dict[str, Decimal], random: Random
) -> None:
    shares = allocate(total_fen, weights)
    assert sum(shares.values()) == total_fen
    assert shares.keys() == weights.keys()
    whole = sum(map(Fraction, weights.values()))
    for premise, fen in shares.items():
        assert fen >= 0
        assert abs(fen - total_fen * Fraction(weights[premise]) / whole) < 1
        assert weights[premise] or not fen
    items = list(weights.items())
    random.shuffle(items)
    assert allocate(total_fen, dict(items)) == shares


def test_ties_go_to_the_first_premise_id() -> None:
    weights = {"B-2": Decimal(1), "A-1": Decimal("1.0"), "C-3": Decimal(1)}
    assert allocate(100, weights) == {"A-1": 34, "B-2": 33, "C-3": 33}
    assert allocate(101, weights) == {"A-1": 34, "B-2": 34, "C-3": 33}


def test_the_largest_remainder_wins_over_the_id() -> None:
    assert allocate(10, {"a": Decimal("0.32"), "b": Decimal("0.68")}) == {"a": 3, "b": 7}
    assert allocate(10, {"a": Decimal("0.34"), "b": Decimal("0.66")}) == {"a": 3, "b": 7}
    assert allocate(10, {"a": Decimal("0.36"), "b": Decimal("0.64")}) == {"a": 4, "b": 6}


def test_a_negative_pool_is_refused_as_carried_forward() -> None:
    with pytest.raises(NegativePoolError, match="carried forward") as caught:
        allocate(-5, {"a": Decimal(1)})
    assert caught.value.total_fen == -5


def test_zero_weights_use_the_fallback_or_fail() -> None:
    zero = {"a": Decimal(0), "b": Decimal("0.00")}
    fallback = {"a": Decimal(3), "b": Decimal(1)}
    assert allocate(100, zero, fallback=fallback) == {"a": 75, "b": 25}
    with pytest.raises(AllocationError, match="no fallback"):
        allocate(100, zero)
    with pytest.raises(AllocationError, match="same premises"):
        allocate(100, zero, fallback={"a": Decimal(1)})
    with pytest.raises(AllocationError, match="fallback too"):
        allocate(100, zero, fallback=zero)


def test_the_fallback_is_not_used_while_a_weight_stands() -> None:
    weights = {"a": Decimal(0), "b": Decimal(1)}
    assert allocate(7, weights, fallback={"a": Decimal(1), "b": Decimal(0)}) == {"a": 0, "b": 7}


@pytest.mark.parametrize("weight", ["-1", "NaN", "Infinity", "1e999", "1e-99"])
def test_an_impossible_weight_names_its_premise(weight: str) -> None:
    with pytest.raises(AllocationError, match="weight of b"):
        allocate(1, {"a": Decimal(1), "b": Decimal(weight)})


def test_nobody_to_share_with_is_an_error() -> None:
    with pytest.raises(AllocationError, match="no premise"):
        allocate(1, {})
