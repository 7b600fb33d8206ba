"""Splitting a quantity over tiers and time-of-use periods, in integer quanta."""

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

Key = TypeVar("Key", bound=Hashable)
Span = tuple[int, int, str]


def split_by_tier(start: int, quantity: int, limits: Sequence[int]) -> list[int]:
    """Split quantity, used after start, over len(limits) + 1 tiers; all in the same quanta."""
    parts: list[int] = []
    floor = 0
    for limit in limits:
        parts.append(max(0, min(limit, start + quantity) - max(floor, start)))
        floor = limit
    parts.append(max(0, start + quantity - max(floor, start)))
    return parts


def split_in_order(
    start: int, pieces: Iterable[tuple[Key, int]], limits: Sequence[int]
) -> dict[tuple[int, Key], int]:
    """Split (period, quantity) pieces, in the order of time, over tiers (`by-time`)."""
    cells: dict[tuple[int, Key], int] = {}
    for period, quantity in pieces:
        if not quantity:
            continue
        for tier, part in enumerate(split_by_tier(start, quantity, limits), start=1):
            if part:
                cells[tier, period] = cells.get((tier, period), 0) + part
        start += quantity
    return cells


def split_pro_rata(
    start: int, totals: Mapping[Key, int], limits: Sequence[int]
) -> dict[tuple[int, Key], int]:
    """Give every tier the same mix of periods; tiers and periods both keep their sums exactly.

    Fractions of a quantum go to the largest remainder, ties to the first period.
    """
    left = dict(totals)
    cells: dict[tuple[int, Key], int] = {}
    by_tier = split_by_tier(start, sum(totals.values()), limits)
    for tier, quantity in enumerate(by_tier, start=1):
        whole = sum(left.values())
        if not quantity:
            continue
        shares = {period: divmod(quantity * rest, whole) for period, rest in left.items()}
        over = quantity - sum(share for share, _ in shares.values())
        first = sorted(left, key=lambda period: -shares[period][1])[:over]
        for period, (share, _) in shares.items():
            part = share + (period in first)
            left[period] -= part
            if part:
                cells[tier, period] = part
    return cells


def billing_months(from_on: date, to_on: date) -> int | None:
    """Count the billing months of [from_on, to_on): one up to a month, else whole months or None.

    A household that moves in on the 10th has the whole month's limits; a bill of two whole months
    has twice the limits; a month and some days is nobody's rule.
    """
    months = (to_on.year - from_on.year) * 12 + to_on.month - from_on.month
    if months <= 0 or (months == 1 and to_on.day <= from_on.day):
        return 1
    month_end = from_on.day > to_on.day == monthrange(to_on.year, to_on.month)[1]
    return months if to_on.day == from_on.day or month_end else None


def period_of(
    spans_on: Callable[[date], Sequence[Span]],
    zone: ZoneInfo,
    start_at: datetime,
    end_at: datetime,
) -> str | None:
    """Name the period that holds [start_at, end_at) in UTC; None if it crosses two.

    `spans_on` lays a local day out as (start, end, period) in minutes.
    """
    found: str | None = None
    at = start_at
    while at < end_at:
        local = at.astimezone(zone)
        minute = local.hour * 60 + local.minute
        spans = spans_on(local.date())
        _, until, period = spans[bisect_right(spans, minute, key=_start) - 1]
        if found not in {None, period}:
            return None
        found = period
        # Wall-clock arithmetic: a day with a changed clock still has its borders by the clock.
        border = datetime(local.year, local.month, local.day, tzinfo=zone)
        until_at = (border + timedelta(minutes=until)).astimezone(UTC)
        last_at = min(until_at, end_at)
        if last_at > at and last_at.astimezone(zone).utcoffset() == local.utcoffset():
            at = last_at
        else:
            # The clock changes before the border: an hour comes twice, or never.
            at = at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return found


def _start(span: Span) -> int:
    return span[0]
