"""Fen and yuan, and rounding half away from zero."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.money import fen_to_yuan, round_to_fen, scaled, unscaled, yuan_to_fen


@given(st.integers(-(10**14), 10**14))
def test_fen_and_yuan_are_inverse(fen: int) -> None:
    assert yuan_to_fen(fen_to_yuan(fen)) == fen


@pytest.mark.parametrize(
    ("yuan", "fen"), [("1.23", 123), ("0.5", 50), ("-0.05", -5), ("7", 700), ("-0", 0)]
)
def test_yuan_to_fen(yuan: str, fen: int) -> None:
    assert yuan_to_fen(yuan) == fen


@pytest.mark.parametrize("yuan", ["1.234", "", "1,00", "1e2", ".5", "1.", "NaN", "１", "+1", " 1"])
def test_what_is_no_amount_is_refused(yuan: str) -> None:
    with pytest.raises(ValueError, match="allowed is an amount"):
        yuan_to_fen(yuan)


@given(st.decimals(-(10**9), 10**9, places=6, allow_nan=False))
def test_rounding_is_half_away_from_zero(yuan: Decimal) -> None:
    # decimal's ROUND_HALF_UP is half away from zero.
    expected = yuan.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    assert round_to_fen(yuan) == int(expected * 100)


@pytest.mark.parametrize(
    ("yuan", "fen"), [("0.005", 1), ("-0.005", -1), ("0.015", 2), ("0.0049", 0), ("1E+3", 100000)]
)
def test_rounding_at_the_half(yuan: str, fen: int) -> None:
    assert round_to_fen(Decimal(yuan)) == fen


@given(st.integers(-(10**30), 10**30), st.integers(-12, 6))
def test_scaling_is_exact_both_ways(number: int, exponent: int) -> None:
    assert scaled(unscaled(number, exponent), exponent) == number


def test_scaling_that_would_lose_digits_is_refused() -> None:
    with pytest.raises(ValueError, match="more decimals"):
        scaled(Decimal("1.23"), -1)
    with pytest.raises(ValueError, match="finite"):
        scaled(Decimal("NaN"), -1)
