"""Packed decimal digits as meters send them, low byte first, into exact decimal text."""

from decimal import Decimal

from protocols.errors import WireError


def bcd_text(data: bytes, places: int, *, signed: bool = False) -> str | None:
    """Decimal text with `places` after the point, None if every byte is FF; WireError.

    `signed`: the top bit of the last byte is the sign.
    """
    if data and set(data) == {0xFF}:
        return None
    digits = bytearray(reversed(data))
    negative = signed and bool(digits) and digits[0] & 0x80
    if negative:
        digits[0] &= 0x7F
    text = digits.hex()
    if not text.isdecimal():
        message = f"{data.hex(' ')} are no decimal digits"
        raise WireError(message)
    return f"{Decimal(int(text) * (-1 if negative else 1)).scaleb(-places):f}"


def digits_text(data: bytes) -> str:
    """Hex digits of an address or number sent low byte first, the highest first."""
    return data[::-1].hex()
