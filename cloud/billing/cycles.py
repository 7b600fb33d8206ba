"""Billing cycles 收费周期: which days a charge that recurs is due for, and when (pure)."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

# a month such as 2026-10, as the name of what is billed in it
PERIOD: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
CYCLES: Final = {"month": 1, "quarter": 3, "half-year": 6, "year": 12}


class Days(NamedTuple):
    """The local days [from_on, to_on)."""

    from_on: date
    to_on: date


@dataclass(frozen=True, slots=True)
class Cycle:
    """How often something is charged: every 1, 3, 6 or 12 months of the calendar.

    In advance it is due in the first month of its cycle, else in the last one.
    """

    months: int
    in_advance: bool

    def __post_init__(self) -> None:
        """Refuse a length that does not tile the year (ValueError)."""
        if self.months not in CYCLES.values():
            allowed = ", ".join(map(str, CYCLES.values()))
            msg = f"cycle_months: {self.months}: allowed are {allowed}"
            raise ValueError(msg)


def days_of(period: str) -> Days:
    """Return the days of a period such as 2026-10; ValueError if it is none."""
    first = date.fromisoformat(f"{period}-01")
    return Days(first, next_month(first))


def next_month(first: date) -> date:
    """Return the first day of the month after a day's own."""
    return (first.replace(day=1) + timedelta(days=32)).replace(day=1)


def months_after(first: date, months: int) -> date:
    """Return the first of the month that many months after a day's own."""
    whole = first.year * 12 + first.month - 1 + months
    return date(whole // 12, whole % 12 + 1, 1)


def due(cycle: Cycle, held: Days, *, covered_to: date | None, period: str) -> Days | None:
    """Return the days that the run of a period charges, None for none.

    `held` are the days for which the charge is owed at all, `covered_to` is the day after the last
    one that was billed. What was billed ahead is not billed again; what was missed is caught up.
    """
    month = days_of(period)
    start = max(held.from_on, covered_to or held.from_on)
    begun = (month.from_on.month - 1) // cycle.months * cycle.months
    first = month.from_on.replace(month=begun + 1)
    after = months_after(first, cycle.months)
    if not cycle.in_advance:
        # a cycle is due when it is over, and so is what ends within it
        after = after if after <= month.to_on else first
        after = held.to_on if held.to_on <= month.to_on else after
    end = min(after, held.to_on)
    return Days(start, end) if start < end else None


def pieces(days: Days) -> list[Days]:
    """Split days so that each piece is a part of one month, or whole months."""
    from_on, to_on = days
    found: list[Days] = []
    if from_on.day != 1:
        end = min(next_month(from_on), to_on)
        found.append(Days(from_on, end))
        from_on = end
    whole = to_on.replace(day=1)
    if from_on < whole:
        found.append(Days(from_on, whole))
        from_on = whole
    if from_on < to_on:
        found.append(Days(from_on, to_on))
    return found


def split_at(days: Days, edges: list[date]) -> list[Days]:
    """Split days at edges that lie inside."""
    inside = sorted({edge for edge in edges if days.from_on < edge < days.to_on})
    bounds = [days.from_on, *inside, days.to_on]
    return [Days(a, b) for a, b in pairwise(bounds)]
