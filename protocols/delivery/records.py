"""What travels from a gateway to the cloud: readings and events."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Final

import msgspec

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# the difference of two counts still fits 64 bits
MAX_COUNT: Final = (1 << 62) - 1

EventValue = str | int | None


class Quality(IntEnum):
    """How far a reading may be trusted; the number is what travels.

    What was read by a clock that could not be believed is undated: a good reading of that kind is
    `TIME_UNCERTAIN`, and the others have numbers of their own, so that dating forgives nothing.
    """

    GOOD = 0
    MISSING = 1
    SUSPECT = 2
    OUT_OF_RANGE = 3
    STALE = 4
    TIME_UNCERTAIN = 5
    MISSING_UNDATED = 9
    SUSPECT_UNDATED = 10
    OUT_OF_RANGE_UNDATED = 11
    STALE_UNDATED = 12


# what bills are made from: all else is kept and shown, and waits for a good read beside it
USABLE: Final = frozenset({Quality.GOOD})


# the quality that travels while the time is not believed, and back when it is known
UNDATED: Final[Mapping[int, int]] = {
    Quality.GOOD: Quality.TIME_UNCERTAIN,
    Quality.MISSING: Quality.MISSING_UNDATED,
    Quality.SUSPECT: Quality.SUSPECT_UNDATED,
    Quality.OUT_OF_RANGE: Quality.OUT_OF_RANGE_UNDATED,
    Quality.STALE: Quality.STALE_UNDATED,
}
DATED: Final[Mapping[int, int]] = {undated: dated for dated, undated in UNDATED.items()}


class Reading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value of one point: `count` x 10**`exponent` in `uom`, None where the device had none.

    `read_at_us` is wall time and `monotonic_us` the gateway's monotonic clock, both in
    microseconds, stamped at the response. `words` are the raw registers of a billed point.
    """

    device: str
    point: str
    uom: str
    exponent: int
    count: int | None
    quality: int
    read_at_us: int
    monotonic_us: int
    words: bytes = b""

    @property
    def value(self) -> Decimal | None:
        """Return the value in `uom`, exactly."""
        return None if self.count is None else Decimal(self.count).scaleb(self.exponent)


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened at `at_us`: a link lost, a start, a clock step."""

    device: str
    kind: str
    at_us: int
    monotonic_us: int
    body: dict[str, EventValue] = {}


Record = Reading | Event


def decimal_text(count: int | None, exponent: int) -> str | None:
    """Return `count` x 10**`exponent` as a plain decimal string, None for no value."""
    return None if count is None else f"{Decimal(count).scaleb(exponent):f}"


def instant(at_us: int) -> datetime:
    """Return the aware UTC datetime of `at_us` microseconds since the epoch, exactly."""
    return EPOCH + timedelta(microseconds=at_us)


def microseconds(at: datetime) -> int:
    """Return microseconds since the epoch of an aware datetime, exactly."""
    if at.tzinfo is None:
        message = f"an instant needs a time zone: {at.isoformat()}"
        raise ValueError(message)
    return (at - EPOCH) // timedelta(microseconds=1)


def words_to_bytes(words: tuple[int, ...]) -> bytes:
    """Return 16-bit register words, high byte first, as they were on the wire."""
    return b"".join(word.to_bytes(2, "big") for word in words)


def words_to_hex(raw: bytes) -> str:
    """Return raw register bytes as people write them: `4365 0000`."""
    return raw.hex(" ", 2) if raw else ""
