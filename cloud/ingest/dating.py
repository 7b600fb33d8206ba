"""Readings of a clock that was wrong, dated by what is known of that boot: pure."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from cloud.ingest.limits import MAX_MONOTONIC_US, YEAR_2000_US
from protocols.delivery.envelope import BOOT_ID_BYTES
from protocols.delivery.records import DATED, Event, Reading

# no clock is set later; and whatever is dated by it still fits 64 bits
_YEAR_2200_US = 7_258_118_400_000_000
_SOURCE = 16


@dataclass(frozen=True, slots=True, order=True)
class Fix:
    """The true time of one instant of a boot: `wall_us` at `monotonic_us`."""

    monotonic_us: int
    wall_us: int
    error_us: int = 0
    source: str = ""


def boot_of(batch_id: bytes) -> bytes:
    """Return the boot that gave a batch its id: all that was read for it is of that boot."""
    return batch_id[:BOOT_ID_BYTES]


def fix_of(event: Event) -> Fix | None:
    """Return what a `clock` event says of its boot's time, None if it knows nothing or nonsense."""
    wall_us, error_us = event.body.get("wall_us"), event.body.get("error_us")
    if event.kind != "clock" or not isinstance(wall_us, int) or not isinstance(error_us, int):
        return None
    believable = (
        YEAR_2000_US <= wall_us <= _YEAR_2200_US
        and 0 <= error_us <= MAX_MONOTONIC_US
        and abs(event.monotonic_us) <= MAX_MONOTONIC_US
    )
    if not believable:
        return None
    source = str(event.body.get("source")).replace("\0", "")[:_SOURCE]
    return Fix(event.monotonic_us, wall_us, error_us, source)


def is_undated(reading: Reading) -> bool:
    """Say whether a reading's time cannot be believed."""
    return reading.quality in DATED


def dated(reading: Reading, fixes: Sequence[Fix]) -> Reading:
    """Return an undated reading with its true time and its own quality; ValueError without a fix.

    `fixes` are of its boot, in order; the nearest has drifted least.
    """
    if not fixes:
        message = "a reading needs a fix of its boot to be dated by"
        raise ValueError(message)
    place = bisect_left(fixes, Fix(reading.monotonic_us, 0))
    near = fixes[max(0, place - 1) : place + 1]
    fix = min(near, key=lambda each: abs(each.monotonic_us - reading.monotonic_us))
    return msgspec.structs.replace(
        reading, read_at_us=_time_by(fix, reading), quality=int(DATED[reading.quality])
    )


def times_of(reading: Reading, fixes: Sequence[Fix]) -> set[int]:
    """Return every time at which a reading may be stored: an undated one by any fix of its boot.

    It was dated by the nearest of those that were known then; nearer ones may have come since.
    """
    if not is_undated(reading):
        return {reading.read_at_us}
    return {_time_by(fix, reading) for fix in fixes}


def _time_by(fix: Fix, reading: Reading) -> int:
    return fix.wall_us + reading.monotonic_us - fix.monotonic_us
