"""Values of a bundle: decimals, money, days and instants, and how a difference is told."""

import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

# JSON as it comes: each value is judged where it is used
Doc = dict[str, Any]

DAY: Final = timedelta(1)
_DECIMAL: Final = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONG: Final = 200
_MANY: Final = 8


class DiffersError(Exception):
    """The bundle does not hold; the message names the first thing that differs."""


def same(path: str, found: object, expected: object) -> None:
    """Check that two values are one; DiffersError has both, and the first byte that differs."""
    # 1, 1.0 and true are equal for Python
    if (type(found) is type(expected) or isinstance(found, Fraction)) and found == expected:
        return
    where = ""
    if isinstance(found, str | bytes) and isinstance(expected, str | bytes):
        ours, theirs = (
            text.encode() if isinstance(text, str) else text for text in (found, expected)
        )
        least = min(len(ours), len(theirs))
        at = next((at for at in range(least) if ours[at] != theirs[at]), least)
        where = f" (first at byte {at})"
        found, expected = (
            text[max(at - 20, 0) : at + 80] if len(text) > _LONG else text
            for text in (found, expected)
        )
    raise DiffersError(f"{path}: found {_shown(found)}, expected {_shown(expected)}{where}")


def among(path: str, found: object, allowed: tuple[object, ...]) -> None:
    """Check that a value is one of the allowed ones, of the same type."""
    if not any(type(found) is type(each) and found == each for each in allowed):
        many = len(allowed) > _MANY
        shown = f"{allowed[0]} to {allowed[-1]}" if many else ", ".join(map(repr, allowed))
        raise DiffersError(f"{path}: found {_shown(found)}, expected {shown}")


def decimal_of(value: object, path: str) -> Fraction:
    """Return a decimal number that is written as text."""
    if not isinstance(value, str) or _DECIMAL.fullmatch(value) is None:
        raise DiffersError(f"{path}: found {value!r}, expected a decimal number as text")
    return Fraction(value)


def fen_of(value: object, path: str) -> int:
    """Return the fen of an amount in yuan."""
    fen = decimal_of(value, path) * 100
    same(f"{path}: fen", fen.denominator, 1)
    return int(fen)


def yuan(fen: int) -> str:
    """Return fen as yuan with two decimals."""
    return f"{'-' * (fen < 0)}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def half_away(value: Fraction) -> int:
    """Round to a whole number, half away from zero."""
    nearest = (abs(value) + Fraction(1, 2)).__floor__()
    return nearest if value >= 0 else -nearest


def decimals_of(text: str) -> int:
    """Return with how many decimals a number is written."""
    return len(text.partition(".")[2])


def local_day(text: str) -> date:
    """Return a day."""
    return date.fromisoformat(text)


def instant_of(text: str) -> datetime:
    """Return an instant written with its offset."""
    return datetime.fromisoformat(text).astimezone(UTC)


def instant_at(at_us: int) -> datetime:
    """Return the instant of microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=at_us)


def microseconds(at: datetime) -> int:
    """Return an instant in microseconds since the epoch."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def midnight(zone: ZoneInfo, day: str) -> datetime:
    """Return the first instant of a local day."""
    return datetime.combine(local_day(day), datetime.min.time(), zone).astimezone(UTC)


def least_and_most(
    whole: Fraction, weight: Fraction, total: Fraction, path: str
) -> tuple[Fraction, ...]:
    """Return the whole numbers that a weight's part of a whole may be: one, or that and one more.

    Who got what was left over hangs on the neighbours' weights, which are not told.
    """
    if not 0 <= weight <= total or not total:
        raise DiffersError(f"{path}: weight: {float(weight)} of {float(total)}")
    least = Fraction(whole * weight // total)
    return (least,) if least == whole * weight / total else (least, least + 1)


def sha256(raw: bytes) -> bytes:
    """Return the SHA-256."""
    return hashlib.sha256(raw).digest()


def no_float(text: str) -> NoReturn:
    """Refuse a number of JSON that is not whole."""
    raise DiffersError(f"{text}: a number that is not whole must be a text")


def printable(text: str) -> str:
    """Return a text that cannot steer a terminal, wherever it is from."""
    return text if text.isprintable() else ascii(text)


def _shown(value: object) -> str:
    if isinstance(value, Fraction):
        return str(float(value)) if value.denominator > 1 else str(value.numerator)
    return repr(value)
