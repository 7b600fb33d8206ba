"""What a reading must keep to be stored: names, numbers and times that the tables can hold."""

from typing import Final

from protocols.delivery import batch
from protocols.delivery.records import MAX_COUNT, Quality, Reading

_YEAR_2000_US: Final = 946_684_800_000_000
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
        and _YEAR_2000_US <= row.read_at_us <= MAX_COUNT
        and row.quality in _QUALITIES
    )
