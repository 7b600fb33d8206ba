"""Readings of a clock that was wrong, dated by what is known of that boot: pure."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from protocols.delivery.envelope import BOOT_ID_BYTES
from protocols.delivery.records import Event, Quality, Reading

_UNCERTAIN = int(Quality.TIME_UNCERTAIN)


@dataclass(frozen=True, slots=True, order=True)
class Fix:
    """The true time of one instant of a boot: `wall_us` at `monotonic_us`."""

    monotonic_us: int
    wall_us: int
    error_us: int = 0
    source: str = ""


def boot_of(batch_id: bytes) -> bytes:
    """Return the boot that sealed a batch: all its records are of that boot."""
    return batch_id[:BOOT_ID_BYTES]


def fix_of(event: Event) -> Fix | None:
    """Return what a `clock` event says of its boot's time, None if it knows nothing."""
    wall_us, error_us = event.body.get("wall_us"), event.body.get("error_us")
    if event.kind != "clock" or not isinstance(wall_us, int) or not isinstance(error_us, int):
        return None
    return Fix(event.monotonic_us, wall_us, error_us, str(event.body.get("source")))


def is_undated(reading: Reading) -> bool:
    """Say whether a reading's time cannot be believed."""
    return reading.quality == _UNCERTAIN


def dated(reading: Reading, fixes: Sequence[Fix]) -> Reading:
    """Return an undated reading with its true time, and good; ValueError without a fix.

    `fixes` are of its boot, in order; the nearest has drifted least.
    """
    if not fixes:
        message = "a reading needs a fix of its boot to be dated by"
        raise ValueError(message)
    place = bisect_left(fixes, Fix(reading.monotonic_us, 0))
    near = fixes[max(0, place - 1) : place + 1]
    fix = min(near, key=lambda each: abs(each.monotonic_us - reading.monotonic_us))
    read_at_us = fix.wall_us + reading.monotonic_us - fix.monotonic_us
    return msgspec.structs.replace(reading, read_at_us=read_at_us, quality=int(Quality.GOOD))
