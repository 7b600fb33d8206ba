"""Register words to values and back, in every word and byte order, and exactly to a count."""

import math
import struct
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum


class WordOrder(StrEnum):
    """How the bytes of a value lie on the wire; ABCD is the Modbus way, high byte first."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"


class RegisterType(StrEnum):
    """What the words of one value mean."""

    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def word_count(self) -> int:
        """Registers that one value takes: 1, 2 or 4."""
        return int(self.value[-2:]) // 16

    @property
    def is_float(self) -> bool:
        """Whether the value is an IEEE 754 number."""
        return self in (RegisterType.FLOAT32, RegisterType.FLOAT64)


def decode(
    words: tuple[int, ...], type_: RegisterType | str, order: WordOrder | str
) -> int | float:
    """Value of the type's number of words, each 0..65535; ValueError if the number differs."""
    words_codec, value_codec = codecs(RegisterType(type_), WordOrder(order))
    if len(words) * 2 != value_codec.size:
        message = f"{type_} needs {value_codec.size // 2} words, got {len(words)}"
        raise ValueError(message)
    value: int | float = value_codec.unpack(words_codec.pack(*words))[0]
    return value


def encode(value: float, type_: RegisterType | str, order: WordOrder | str) -> tuple[int, ...]:
    """Words of the value as a device would send them; ValueError if it does not fit the type."""
    words_codec, value_codec = codecs(RegisterType(type_), WordOrder(order))
    try:
        return words_codec.unpack(value_codec.pack(value))
    except (struct.error, OverflowError) as error:
        message = f"{value} does not fit {type_}: {error}"
        raise ValueError(message) from error


def codecs(type_: RegisterType, order: WordOrder) -> tuple[struct.Struct, struct.Struct]:
    """The pair (words, value) of compiled layouts: `value.unpack(words.pack(*words))` decodes."""
    return _CODECS[type_, order]


def to_count(
    raw: float, *, scale: Decimal, resolution_exponent: int, double: bool = False
) -> int | None:
    """Steps of 10**resolution_exponent in raw * scale, half away from zero; None if NaN or inf.

    Integers are exact. A float counts as the shortest decimal that reads back as the same float32
    (float64 if `double`), so that 65536.0078125 is the 65536.01 the meter shows.
    """
    if isinstance(raw, float):
        if not math.isfinite(raw):
            return None
        value = Decimal(repr(raw)) if double else shortest_decimal(raw)
    else:
        value = Decimal(raw)
    steps = _EXACT.multiply(value, scale).scaleb(-resolution_exponent, context=_EXACT)
    return int(steps.to_integral_value(rounding=ROUND_HALF_UP, context=_EXACT))


def shortest_decimal(value: float) -> Decimal:
    """The nearest decimal of the fewest digits that reads back as this float32."""
    try:
        bits = _FLOAT32.pack(value)
    except OverflowError:
        return Decimal(repr(value))
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        try:
            if _FLOAT32.pack(float(text)) == bits:
                return Decimal(text)
        except OverflowError:  # the rounded text lies above the largest float32
            continue
    return Decimal(f"{value:.9g}")


_FLOAT32 = struct.Struct(">f")
# Enough digits for any float64 at any resolution in use: nothing is ever rounded before the count.
_EXACT = Context(prec=700, Emax=999_999, Emin=-999_999)
_LETTERS = {
    RegisterType.INT16: "h",
    RegisterType.UINT16: "H",
    RegisterType.INT32: "i",
    RegisterType.UINT32: "I",
    RegisterType.INT64: "q",
    RegisterType.UINT64: "Q",
    RegisterType.FLOAT32: "f",
    RegisterType.FLOAT64: "d",
}
# (byte order within a word, byte order of the value): two swaps make all four orders.
_ENDS = {
    WordOrder.ABCD: (">", ">"),
    WordOrder.CDAB: ("<", "<"),
    WordOrder.BADC: ("<", ">"),
    WordOrder.DCBA: (">", "<"),
}
_CODECS = {
    (type_, order): (
        struct.Struct(f"{word_end}{type_.word_count}H"),
        struct.Struct(f"{value_end}{letter}"),
    )
    for type_, letter in _LETTERS.items()
    for order, (word_end, value_end) in _ENDS.items()
}
