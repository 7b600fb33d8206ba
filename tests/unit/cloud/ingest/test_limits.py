"""What a reading must keep to be stored."""

import pytest

from cloud.ingest.limits import good_rows
from protocols.delivery import batch
from protocols.delivery.records import MAX_COUNT, Reading
from tests.fixtures.delivery import reading


def good(row: Reading) -> bool:
    (columns,) = batch.decode(batch.encode([row], bytes(32))).series
    return good_rows(columns) == [row]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"uom": ""},
        {"count": None},
        {"count": -MAX_COUNT},
        {"quality": 5},
        {"quality": 5, "read_at_us": 0},
        {"quality": 5, "read_at_us": -(1 << 62)},
        {"monotonic_us": -(1 << 53)},
        {"device": "水" * 64},
    ],
    ids=str,
)
def test_what_the_tables_hold_is_good(changed: dict[str, object]) -> None:
    assert good(reading(1, **changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"device": ""},
        {"monotonic_us": (1 << 53) + 1},
        {"quality": 5, "monotonic_us": 1 << 60},
        {"device": "x" * 65},
        {"device": "a\0b"},
        {"point": ""},
        {"point": "x" * 65},
        {"uom": "x" * 17},
        {"exponent": 19},
        {"exponent": -1_000_000_000},
        {"count": MAX_COUNT + 1},
        {"quality": 6},
        {"read_at_us": 0},
        {"read_at_us": MAX_COUNT + 1},
    ],
    ids=lambda changed: str(changed)[:40],
)
def test_what_they_do_not_hold_is_not(changed: dict[str, object]) -> None:
    assert not good(reading(1, **changed))


def test_one_bad_row_costs_only_itself() -> None:
    rows = [reading(1), reading(2, quality=99), reading(3)]
    (columns,) = batch.decode(batch.encode(rows, bytes(32))).series
    assert good_rows(columns) == [rows[0], rows[2]]
