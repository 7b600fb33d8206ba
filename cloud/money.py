"""Money in integer fen, and the one rounding rule: half away from zero."""

import re
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation

# Digits enough for any product here; what would have to be rounded is an error instead.
EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, DivisionByZero])
_YUAN = re.compile(r"(-?)(\d{1,15})(?:\.(\d{1,2}))?")


def yuan_to_fen(yuan: str) -> int:
    """Turn "1.23" into 123; at most two decimals, ValueError otherwise."""
    match = _YUAN.fullmatch(yuan) if yuan.isascii() else None
    if match is None:
        msg = f"{yuan!r}: allowed is an amount in yuan with at most two decimals, such as 72.45"
        raise ValueError(msg)
    sign, whole, part = match.groups()
    fen = int(whole) * 100 + int((part or "").ljust(2, "0"))
    return -fen if sign else fen


def fen_to_yuan(fen: int) -> str:
    """Turn 123 into "1.23", always with two decimals."""
    whole, part = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{whole}.{part:02d}"


def divide_half_away(numerator: int, denominator: int) -> int:
    """Divide integers and round half away from zero; denominator above 0."""
    if denominator <= 0:
        msg = f"denominator {denominator} must be above 0"
        raise ValueError(msg)
    quotient = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -quotient if numerator < 0 else quotient


def round_to_fen(yuan: Decimal) -> int:
    """Round an amount in yuan to fen, half away from zero; finite only."""
    numerator, denominator = yuan.as_integer_ratio()
    return divide_half_away(numerator * 100, denominator)


def scaled(value: Decimal, exponent: int) -> int:
    """Give value / 10**exponent as an integer; ValueError where that is not exact."""
    if not value.is_finite():
        msg = f"{value} is not a finite number"
        raise ValueError(msg)
    shifted = value.scaleb(-exponent, EXACT)
    number = int(shifted)
    if number != shifted:
        msg = f"{value} has more decimals than 10**{exponent} holds"
        raise ValueError(msg)
    return number


def decimals_of(value: Decimal) -> int:
    """Give the exponent of a finite decimal: -2 for 1.23; ValueError for NaN and infinity."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        msg = f"{value} is not a finite number"
        raise ValueError(msg)
    return exponent


def unscaled(number: int, exponent: int) -> Decimal:
    """Give number x 10**exponent exactly; the inverse of scaled."""
    return Decimal(int(number)).scaleb(exponent, EXACT)
