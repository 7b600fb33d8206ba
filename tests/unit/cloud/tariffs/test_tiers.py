"""Tiers and periods on their own: sums, and a day with a changed clock."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.tariffs.tariff import TimeOfUse
from cloud.tariffs.tiers import period_of, split_by_tier, split_in_order, split_pro_rata
from cloud.tariffs.values import DayType

NEW_YORK = ZoneInfo("America/New_York")
NAME = {"zh": "名", "en": "name"}
CLOCK = TimeOfUse.model_validate(
    {
        "periods": [
            {"code": "day", "name": NAME, "windows": [{"start": "06:00", "end": "22:00"}]},
            {"code": "night", "name": NAME, "windows": [{"start": "22:00", "end": "06:00"}]},
        ]
    }
)
SPANS = CLOCK.spans(None, DayType.WORKDAY)
LIMITS = st.sets(st.integers(1, 500), max_size=4).map(sorted)


def period(start: str, end: str) -> str | None:
    """Name the period of two local instants in New York, given with their offsets."""
    return period_of(
        lambda _: SPANS,
        NEW_YORK,
        datetime.fromisoformat(start).astimezone(UTC),
        datetime.fromisoformat(end).astimezone(UTC),
    )


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-03-07T22:00-05:00", "2026-03-08T06:00-04:00", "night"),  # a night of seven hours
        ("2026-03-07T22:00-05:00", "2026-03-08T06:01-04:00", None),
        ("2026-10-31T22:00-04:00", "2026-11-01T06:00-05:00", "night"),  # a night of nine hours
        ("2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00", "night"),
        ("2026-11-01T06:00-05:00", "2026-11-01T22:00-05:00", "day"),
        ("2026-11-01T05:59:59-05:00", "2026-11-01T06:00:01-05:00", None),
    ],
)
def test_periods_follow_the_clock_on_the_wall(start: str, end: str, expected: str | None) -> None:
    assert period(start, end) == expected


@given(st.integers(0, 600), st.integers(0, 600), LIMITS)
def test_a_quantity_is_split_as_if_counted_one_by_one(
    start: int, quantity: int, limits: list[int]
) -> None:
    counted = [0] * (len(limits) + 1)
    for at in range(start, start + quantity):
        counted[sum(1 for limit in limits if at >= limit)] += 1
    assert split_by_tier(start, quantity, limits) == counted


@given(st.integers(0, 600), st.lists(st.integers(0, 300), min_size=3, max_size=3), LIMITS)
def test_both_split_rules_fill_the_same_tiers(
    start: int, quantities: list[int], limits: list[int]
) -> None:
    totals = dict(zip(("peak", "flat", "valley"), quantities, strict=True))
    by_time = split_in_order(start, totals.items(), limits)
    pro_rata = split_pro_rata(start, totals, limits)
    for cells in (by_time, pro_rata):
        assert all(quantity > 0 for quantity in cells.values())
        for code, total in totals.items():
            assert sum(n for (_, each), n in cells.items() if each == code) == total
    for tier in range(1, len(limits) + 2):
        sums = [
            sum(n for (each, _), n in cells.items() if each == tier)
            for cells in (by_time, pro_rata)
        ]
        assert sums[0] == sums[1] == split_by_tier(start, sum(quantities), limits)[tier - 1]


EARLY = TimeOfUse.model_validate(
    {
        "periods": [
            {"code": "day", "name": NAME, "windows": [{"start": "02:30", "end": "01:30"}]},
            {"code": "night", "name": NAME, "windows": [{"start": "01:30", "end": "02:30"}]},
        ]
    }
)
EARLY_SPANS = EARLY.spans(None, DayType.WORKDAY)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        # the hour from 01:00 comes twice: day until 01:30, night until 02:00, then both again
        ("2026-11-01T01:30-04:00", "2026-11-01T02:00-04:00", "night"),
        ("2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00", None),
        ("2026-11-01T01:00-05:00", "2026-11-01T01:30-05:00", "day"),
        ("2026-11-01T01:59:30-04:00", "2026-11-01T01:00:30-05:00", None),
        # the hour from 02:00 never comes: night ends at 02:00, which is 03:00
        ("2026-03-08T01:30-05:00", "2026-03-08T03:00-04:00", "night"),
        ("2026-03-08T01:30-05:00", "2026-03-08T03:15-04:00", None),
        ("2026-03-08T03:00-04:00", "2026-03-08T04:00-04:00", "day"),
    ],
)
def test_borders_inside_a_changed_clock(start: str, end: str, expected: str | None) -> None:
    found = period_of(
        lambda _: EARLY_SPANS,
        NEW_YORK,
        datetime.fromisoformat(start).astimezone(UTC),
        datetime.fromisoformat(end).astimezone(UTC),
    )
    assert found == expected
