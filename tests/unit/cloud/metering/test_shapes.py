"""Estimates follow a meter's own history, and conserve what the registers say."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.metering.boundaries import STRAIGHT_LINE, at_boundary
from cloud.metering.installs import Install, RegisterRead
from cloud.metering.registers import Consumption, interval_reads, kept_consumption
from cloud.metering.shapes import (
    HISTORY_MEAN,
    HISTORY_SHAPE,
    History,
    history_of,
    shape_of,
)
from cloud.metering.true_up import Closing, is_open, open_before, with_true_up
from protocols.delivery.records import microseconds

ZONE = ZoneInfo("Asia/Shanghai")
HOUR_US = 3_600_000_000
MONDAY = datetime(2026, 9, 6, 16, tzinfo=UTC)  # midnight of Monday 7 September in Shanghai
START_US = microseconds(MONDAY)


def used_in(hour: int) -> int:
    """Counts of an hour since START_US: much in the evening, more at weekends."""
    local = (MONDAY + timedelta(hours=hour)).astimezone(ZONE)
    evening = 100 if 18 <= local.hour < 23 else 4
    return evening + (20 if local.weekday() >= 5 else 0)


def totals(hours: int) -> list[int]:
    """Register at each hour."""
    found = [0]
    for hour in range(hours):
        found.append(found[-1] + used_in(hour))
    return found


@pytest.fixture(scope="module")
def history() -> History:
    counts = np.array(totals(28 * 24), dtype=np.int64)
    at = START_US + HOUR_US * np.arange(len(counts), dtype=np.int64)
    return history_of(at, counts, ZONE)


def test_a_gap_is_shaped_by_hour_and_type_of_day(history: History) -> None:
    truth = totals(33 * 24)
    left, right = 28 * 24 + 12, 33 * 24
    reads = [RegisterRead(START_US + HOUR_US * hour, truth[hour]) for hour in (left, right)]
    for hour in range(left + 1, right):
        edge = at_boundary(reads, START_US + HOUR_US * hour, estimator=history)
        assert edge is not None
        assert (edge.count, edge.estimated, edge.rule) == (truth[hour], True, HISTORY_SHAPE)


def test_what_comes_is_foretold_from_the_shape(history: History) -> None:
    truth = totals(35 * 24)
    last = RegisterRead(START_US + HOUR_US * 28 * 24, truth[28 * 24])
    edge = at_boundary([last], START_US + HOUR_US * 35 * 24, estimator=history)
    assert edge is not None
    assert (edge.count, edge.reads, edge.rule) == (truth[-1], (last,), HISTORY_SHAPE)


def test_short_history_falls_back_and_none_foretells_nothing() -> None:
    at = START_US + HOUR_US * np.arange(0, 80, 8, dtype=np.int64)
    few = history_of(at, np.arange(10, dtype=np.int64) * 16, ZONE)
    assert few.shape is None
    left, right = RegisterRead(0, 0), RegisterRead(10 * HOUR_US, 100)
    assert few.gone(left, right, 5 * HOUR_US, counts=100) == (50, STRAIGHT_LINE)
    assert few.expected(left, 24 * HOUR_US) == (48, HISTORY_MEAN)
    assert history_of(at[:1], at[:1], ZONE).expected(left, HOUR_US) is None
    still = np.zeros(28 * 24, dtype=np.int64)
    hours = START_US + HOUR_US * np.arange(28 * 24, dtype=np.int64)
    assert shape_of(hours, still, ZONE) is None


@given(
    st.integers(0, 200),
    st.integers(2, 30 * 24),
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.data(),
)
def test_intervals_of_a_shaped_gap_add_up_to_the_last_count(
    start: int, hours: int, counts: int, pieces: int, data: st.DataObject
) -> None:
    history = cached_history()
    left = RegisterRead(START_US + start * HOUR_US, 17)
    right = RegisterRead(left.read_at_us + hours * HOUR_US, 17 + counts)
    inner = st.integers(left.read_at_us + 1, right.read_at_us - 1)
    edges = data.draw(st.lists(inner, min_size=pieces, max_size=pieces, unique=True))
    boundaries = [left.read_at_us, *sorted(edges), right.read_at_us]
    intervals = interval_reads([left, right], boundaries, estimator=history, tolerance_us=0)
    assert sum(item.counts for item in intervals) == counts
    assert all(item.counts >= 0 for item in intervals)


def cached_history() -> History:
    """Give the history of the fixture to a property."""
    if not _HELD:
        counts = np.array(totals(28 * 24), dtype=np.int64)
        at = START_US + HOUR_US * np.arange(len(counts), dtype=np.int64)
        _HELD.append(history_of(at, counts, ZONE))
    return _HELD[0]


_HELD: list[History] = []


@given(
    st.lists(st.integers(0, 900), min_size=40, max_size=120),
    st.sets(st.integers(0, 119)),
    st.lists(st.integers(1, 12), min_size=3, max_size=9),
    st.sampled_from(["1", "40", "2.5"]),
)
def test_all_bills_together_are_the_register_difference(
    steps: list[int], silent: set[int], lengths: list[int], multiplier: str
) -> None:
    # a read a day, unless silent; periods of some days billed as soon as they are over
    day_us = 24 * HOUR_US
    install = Install(
        meter_id="M",
        exponent=-2,
        multiplier=Decimal(multiplier),
        installed_at_us=0,
        start_count=5,
    )
    counts = [5]
    for step in steps:
        counts.append(counts[-1] + step)
    edges = [0]
    for length in lengths:
        edges.append(min(edges[-1] + length, len(steps)))
    edges = sorted({*edges, len(steps)})
    closings: list[Closing] = []
    for start, end in pairwise(edges):
        # the last one is billed when everything is known
        final = end == len(steps)
        reads = [
            RegisterRead(day * day_us, counts[day])
            for day in range(1, end + 1)
            if day not in silent or (final and day == end)
        ]
        history = History(mean=(700, day_us))
        known = [(install, reads, history)]
        used = kept_consumption(known, start * day_us, end * day_us)
        since_us, billed = open_before(reversed(closings), start * day_us)
        if since_us < start * day_us:
            before: Consumption = kept_consumption(known, since_us, start * day_us)
            used = with_true_up(used, before.quantity - billed)
        assert used.quantity >= 0
        made = Closing(start * day_us, end * day_us, 1, used.quantity, is_open(used))
        closings.append(made)
    total = Decimal(counts[-1] - 5).scaleb(-2) * Decimal(multiplier)
    billed_in_all = sum(closing.quantity for closing in closings)
    last = closings[-1]
    # what was billed too much stays open until it is used up
    assert billed_in_all == total or (last.is_open and billed_in_all > total)
