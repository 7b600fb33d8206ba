"""What a reading must keep to be stored: names, numbers and times that the tables can hold."""

from typing import Final

from protocols.delivery import batch
from protocols.delivery.records import DATED, MAX_COUNT, Quality, Reading

YEAR_2000_US: Final = 946_684_800_000_000
# 285 years: a sum of two with an instant still fits 64 bits
MAX_MONOTONIC_US: Final = 1 << 53
_MAX_EXPONENT: Final = 18
_NAME: Final = 64
_UOM: Final = 16
_QUALITIES: Final = frozenset(Quality)


def good_rows(columns: batch.Columns) -> list[Reading]:
    """Return the rows of a series that can be stored; WireError if its columns are nonsense."""
    rows = batch.readings(columns)
    if not _is_channel(columns):
        return []
    return [row for row in rows if _fits(row)]


def lost_reason(count: int) -> str:
    """Return why readings of a batch that can be read are in quarantine."""
    return f"{count} readings out of range or of another gateway's device"


def _is_channel(columns: batch.Columns) -> bool:
    # a point without a unit, such as a power factor, has an empty uom
    names = (columns.device, columns.point)
    return (
        all(0 < len(name) <= _NAME for name in names)
        and len(columns.uom) <= _UOM
        and not any("\0" in name for name in (*names, columns.uom))
        and abs(columns.exponent) <= _MAX_EXPONENT
    )


def _fits(row: Reading) -> bool:
    return (
        (row.count is None or abs(row.count) <= MAX_COUNT)
        # a clock without a battery begins in 1970; its readings wait and are dated
        and (YEAR_2000_US <= row.read_at_us <= MAX_COUNT or row.quality in DATED)
        and abs(row.monotonic_us) <= MAX_MONOTONIC_US
        and row.quality in _QUALITIES
    )
