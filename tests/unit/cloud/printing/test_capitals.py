"""Amounts in capitals: known ones, and each of them read back by a reader of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.printing.capitals import capital_yuan

# 支付结算办法, annex 1, and what cheques are written with
KNOWN = {
    "0.00": "零元整",
    "0.03": "叁分",
    "0.50": "伍角整",
    "0.53": "伍角叁分",
    "1.00": "壹元整",
    "10.00": "壹拾元整",
    "1409.50": "壹仟肆佰零玖元伍角整",
    "6007.14": "陆仟零柒元壹角肆分",
    "1680.32": "壹仟陆佰捌拾元叁角贰分",
    "107000.53": "壹拾万柒仟元伍角叁分",
    "16409.02": "壹万陆仟肆佰零玖元零贰分",
    "325.04": "叁佰贰拾伍元零肆分",
    "100100.00": "壹拾万零壹佰元整",
    "100000000.00": "壹亿元整",
    "100000001.00": "壹亿零壹元整",
    "1000500000000.07": "壹万亿零伍亿元零柒分",
    "-20.20": "负贰拾元贰角整",
}
DIGITS = {digit: place for place, digit in enumerate("零壹贰叁肆伍陆柒捌玖")}
UNITS = {"拾": 10, "佰": 100, "仟": 1000}


@pytest.mark.parametrize(("yuan", "words"), KNOWN.items())
def test_known_amounts(yuan: str, words: str) -> None:
    assert capital_yuan(int(yuan.replace(".", ""))) == words


@given(st.one_of(st.integers(-(10**6), 10**6), st.integers(-(10**20) + 1, 10**20 - 1)))
def test_it_reads_back_as_the_amount(fen: int) -> None:
    words = capital_yuan(fen)
    assert _read(words) == fen
    assert "零零" not in words
    assert words.endswith("整") == (fen % 10 == 0)
    assert not words.endswith(("零", "元", "角"))


@given(st.integers(0, 10**12))
def test_two_amounts_are_never_written_alike(fen: int) -> None:
    assert capital_yuan(fen) != capital_yuan(fen + 1)


def test_what_is_too_much() -> None:
    with pytest.raises(ValueError, match="allowed is less than"):
        capital_yuan(10**20)


def _read(words: str) -> int:
    sign = -1 if words.startswith("负") else 1
    text = words.removeprefix("负").removesuffix("整")
    yuan, has_yuan, rest = text.rpartition("元")
    if not has_yuan:
        rest = text
    fen = 100 * _whole(yuan)
    for unit, worth in (("角", 10), ("分", 1)):
        if unit in rest:
            place = rest.index(unit)
            fen += DIGITS[rest[place - 1]] * worth
    return sign * fen


def _whole(text: str) -> int:
    for section, worth in (("亿亿", 10**16), ("万亿", 10**12), ("亿", 10**8), ("万", 10**4)):
        head, found, tail = text.partition(section)
        if found:
            return _whole(head) * worth + _whole(tail)
    number = digit = 0
    for letter in text:
        if letter in DIGITS:
            digit = DIGITS[letter]
        else:
            number += digit * UNITS[letter]
            digit = 0
    return number + digit
