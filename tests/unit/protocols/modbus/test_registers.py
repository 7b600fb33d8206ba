"""Words to values and counts."""

import math
import struct
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.modbus.registers import (
    RegisterType,
    WordOrder,
    decode,
    encode,
    shortest_decimal,
    to_count,
)

LIMITS = {
    RegisterType.INT16: (-(2**15), 2**15 - 1),
    RegisterType.UINT16: (0, 2**16 - 1),
    RegisterType.INT32: (-(2**31), 2**31 - 1),
    RegisterType.UINT32: (0, 2**32 - 1),
    RegisterType.INT64: (-(2**63), 2**63 - 1),
    RegisterType.UINT64: (0, 2**64 - 1),
}
float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("ABCD", (0x4366, 0x3334)),
        ("CDAB", (0x3334, 0x4366)),
        ("BADC", (0x6643, 0x3433)),
        ("DCBA", (0x3433, 0x6643)),
    ],
)
def test_every_order_of_one_float(order: str, words: tuple[int, ...]) -> None:
    assert decode(words, "float32", order) == 230.20001220703125
    assert encode(decode(words, "float32", order), "float32", order) == words


def test_the_makers_sample_of_a_little_endian_water_meter() -> None:
    assert decode((0x1E85, 0x0B3F), "float32", "DCBA") == pytest.approx(0.545)


def test_byte_swaps_reach_sixteen_and_sixty_four_bits() -> None:
    assert decode((0x3412,), "uint16", "BADC") == 0x1234
    assert decode((0x3412,), "uint16", "CDAB") == 0x3412
    assert decode((7, 5, 3, 1), "uint64", "CDAB") == 0x0001_0003_0005_0007


@given(st.sampled_from(sorted(LIMITS)), st.sampled_from(sorted(WordOrder)), st.data())
def test_integers_come_back(type_: RegisterType, order: WordOrder, data: st.DataObject) -> None:
    value = data.draw(st.integers(*LIMITS[type_]))
    words = encode(value, type_, order)
    assert len(words) == type_.word_count
    assert decode(words, type_, order) == value


@given(st.floats(allow_nan=False), st.sampled_from(sorted(WordOrder)))
def test_doubles_come_back(value: float, order: WordOrder) -> None:
    assert decode(encode(value, "float64", order), "float64", order) == value


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit uint16"):
        encode(65536, "uint16", "ABCD")
    with pytest.raises(ValueError, match="needs 2 words, got 1"):
        decode((1,), "int32", "ABCD")


def test_a_float_register_counts_what_the_meter_shows() -> None:
    raw = decode((0x4780, 0x0001), "float32", "ABCD")
    assert raw == 65536.0078125
    assert to_count(raw, scale=Decimal(1), resolution_exponent=-2) == 6553601


@pytest.mark.parametrize(("raw", "count"), [(0.125, 13), (-0.125, -13), (0.375, 38), (2.5, 250)])
def test_halves_go_away_from_zero(raw: float, count: int) -> None:
    assert to_count(raw, scale=Decimal(1), resolution_exponent=-2) == count


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
def test_no_number_is_missing(raw: float) -> None:
    assert to_count(raw, scale=Decimal(1), resolution_exponent=-2) is None


@given(st.integers(-(2**63), 2**64 - 1), st.decimals("0.001", "1000", places=3))
def test_integers_count_exactly(raw: int, scale: Decimal) -> None:
    # scale = k / 1000, so at a resolution of 10**-3 nothing is rounded.
    assert to_count(raw, scale=scale, resolution_exponent=-3) == raw * int(scale * 1000)


@given(float32s)
def test_the_shortest_decimal_reads_back_and_none_is_shorter(value: float) -> None:
    shown = shortest_decimal(value)
    bits = struct.pack(">f", value)
    assert struct.pack(">f", float(shown)) == bits
    digits = len(shown.normalize().as_tuple().digits)
    if digits > 6:
        assert struct.pack(">f", float(f"{value:.{digits - 1}g}")) != bits


@given(st.integers(0, 99_999))
def test_a_five_digit_display_survives_float32(count: int) -> None:
    raw = struct.unpack(">f", struct.pack(">f", count / 100))[0]
    assert to_count(raw, scale=Decimal(1), resolution_exponent=-2) == count


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_count_by_their_own_shortest_decimal(raw: float) -> None:
    expected = Decimal(repr(raw)).scaleb(2)
    with_digits = abs(expected) < Decimal("1e20")
    count = to_count(raw, scale=Decimal(1), resolution_exponent=-2, double=True)
    if with_digits:
        assert count == int(expected.to_integral_value(rounding=ROUND_HALF_UP))
