"""The parts of a tariff: seasons, tiers, time-of-use periods, rates, charges, taxes."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cloud.documents import StrictModel
from cloud.money import EXACT
from cloud.tariffs.values import (
    DAY_MINUTES,
    Code,
    Day,
    DayKind,
    DayType,
    Fen,
    Limits,
    MonthDay,
    NotNegative,
    Ordinal,
    Positive,
    Price,
    Text,
    TimeOfDay,
    Whole,
    minute_of,
)


class Name(StrictModel):
    """A name in Chinese and English."""

    zh: Text
    en: Text


class Component(StrictModel):
    """A part of the price that is shown apart, such as water, resource fee and sewage.

    Only a credit may have prices below zero.
    """

    code: Code
    name: Name
    credit: bool = False


class Season(StrictModel):
    """A part of the year, from one day to another, both included; it may span new year."""

    code: Code
    name: Name
    first: MonthDay
    last: MonthDay

    def holds(self, day: date) -> bool:
        """Tell whether a day lies in it."""
        at = f"{day:%m-%d}"
        if self.first <= self.last:
            return self.first <= at <= self.last
        return at >= self.first or at <= self.last


class PeopleAllowance(StrictModel):
    """What every tier limit gains for a large household: once (flat) or for each such person."""

    people_from: Ordinal
    adds: Positive
    per: Literal["month", "year"]
    each: bool = False


class Tiers(StrictModel):
    """Tiers 阶梯: the upper limits of all but the last, for one day, month, season or year.

    A bill of n whole months has n times the monthly limits, one of n days n times the daily ones.
    In a part of a month (by the month) or year (by the year) a household has the whole limits, or
    those of its days or begun months. Limits may differ by season. With per_household the limits
    of a meter shared by several households are multiplied by their number.
    """

    period: Literal["day", "month", "season", "year"]
    limits: Limits | None = None
    limits_by_season: dict[Code, Limits] | None = None
    part: Literal["whole", "by-day", "by-month"] = "whole"
    people_allowance: PeopleAllowance | None = None
    per_household: bool = False

    @property
    def _by_season(self) -> Mapping[str, Sequence[Decimal]]:
        return self.limits_by_season or {}

    @property
    def count(self) -> int:
        """Give the number of tiers."""
        return len(self.limits or next(iter(self._by_season.values()))) + 1

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.limits is None) == (self.limits_by_season is None):
            msg = "limits: one of limits and limits_by_season is required, not both"
            raise ValueError(msg)
        if self.limits_by_season is not None and self.period == "year":
            msg = "limits_by_season: a year has all seasons; allowed is limits"
            raise ValueError(msg)
        sets = {f"limits_by_season.{code}": each for code, each in self._by_season.items()}
        if self.limits is not None:
            sets = {"limits": self.limits}
        for key, limits in sets.items():
            if any(upper <= lower for lower, upper in pairwise(limits)):
                shown = ", ".join(format(limit, "f") for limit in limits)
                msg = f"{key}: {shown}: allowed are limits that ascend"
                raise ValueError(msg)
        if len({len(limits) for limits in sets.values()}) != 1:
            msg = "limits_by_season: allowed are as many limits in every season, one or more"
            raise ValueError(msg)
        if (allowance := self.people_allowance) is not None:
            allowed_per = {"month": ("month",), "year": ("month", "year")}.get(self.period, ())
            if allowance.per not in allowed_per:
                names = ", ".join(allowed_per) or "none"
                msg = (
                    f"people_allowance.per: {allowance.per}: allowed in tiers by the"
                    f" {self.period}: {names}"
                )
                raise ValueError(msg)
        allowed = {"month": ("whole", "by-day"), "year": ("whole", "by-month", "by-day")}
        if self.part not in allowed.get(self.period, ("whole",)):
            names = ", ".join(allowed.get(self.period, ("whole",)))
            msg = f"part: {self.part}: allowed in tiers by the {self.period}: {names}"
            raise ValueError(msg)
        return self


class Window(StrictModel):
    """A stretch of the local day, from start to end; across midnight where end <= start.

    It may be of some seasons or days only.
    """

    start: TimeOfDay
    end: TimeOfDay
    seasons: Annotated[tuple[Code, ...], Field(min_length=1, strict=False)] | None = None
    days: Annotated[tuple[DayKind, ...], Field(min_length=1, strict=False)] | None = None

    def minutes(self) -> tuple[tuple[int, int], ...]:
        """Give one or two [start, end) stretches in minutes of the day."""
        start, end = minute_of(self.start), minute_of(self.end)
        if start < end:
            return ((start, end),)
        return tuple(span for span in ((start, DAY_MINUTES), (0, end)) if span[0] < span[1])

    def is_of(self, season: str | None, day_type: DayType) -> bool:
        """Tell whether it counts in a season, on a day of this type."""
        return (self.seasons is None or season in self.seasons) and (
            self.days is None or day_type in self.days
        )


class TimeOfUsePeriod(StrictModel):
    """A named time-of-use period 峰谷 and its windows."""

    code: Code
    name: Name
    windows: Annotated[tuple[Window, ...], Field(min_length=1, strict=False)]


class TimeOfUse(StrictModel):
    """Periods that cover every minute of each kind of day exactly once, in each season."""

    periods: Annotated[tuple[TimeOfUsePeriod, ...], Field(min_length=1, strict=False)]
    holidays: Annotated[tuple[Day, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _covers_the_day(self) -> Self:
        refuse_repeats("periods", [period.code for period in self.periods])
        self.check(sorted(self.seasons()) or [None])
        return self

    def check(self, seasons: Sequence[str | None]) -> None:
        """ValueError where a day of one of these seasons has a gap or an overlap."""
        for season in seasons:
            for day_type in DayType:
                self.spans(season, day_type)

    def day_type(self, day: date) -> DayType:
        """Say what kind of day it is."""
        if day in self.holidays:
            return DayType.HOLIDAY
        return DayType.WEEKEND if day.isoweekday() > 5 else DayType.WORKDAY  # noqa: PLR2004  # Friday

    def spans(self, season: str | None, day_type: DayType) -> list[tuple[int, int, str]]:
        """Lay a day out as (start, end, period) in minutes; ValueError for a gap or an overlap."""
        spans = sorted(
            (start, end, period.code)
            for period in self.periods
            for window in period.windows
            if window.is_of(season, day_type)
            for start, end in window.minutes()
        )
        of = f" on a {day_type}" + (f" in {season}" if season else "") if self._differs() else ""
        at = 0
        for start, end, _ in spans:
            if start != at:
                what = "is in no period" if start > at else "is in two periods"
                raise ValueError(_not_once(min(start, at), f"{what}{of}"))
            at = end
        if at != DAY_MINUTES:
            raise ValueError(_not_once(at, f"is in no period{of}"))
        return spans

    def seasons(self) -> set[str]:
        """Name the seasons that some window is of."""
        return {code for window in self._windows() for code in window.seasons or ()}

    def _windows(self) -> list[Window]:
        return [window for period in self.periods for window in period.windows]

    def _differs(self) -> bool:
        return any(window.seasons or window.days for window in self._windows())


class Rate(StrictModel):
    """The price per uom of components in a tier, time-of-use period and season, in yuan.

    What a rate leaves out does not matter to its components: a surcharge by tier names no period.
    """

    tier: Ordinal | None = None
    period: Code | None = None
    season: Code | None = None
    prices: Annotated[dict[Code, Price], Field(min_length=1)]
    total: Price | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        with localcontext(EXACT):
            parts = sum(self.prices.values(), Decimal(0))
        if self.total is not None and parts != self.total:
            msg = f"total: {self.total}: the prices add up to {parts}: allowed is that"
            raise ValueError(msg)
        return self


class FloorPrice(StrictModel):
    """The price from one floor upwards: of a lift fee, for example."""

    floor: Whole
    price: NotNegative


class FixedCharge(StrictModel):
    """A charge per day, month, season or year; by premise, household, head, vehicle or m2.

    In a part of a month it is due whole, or by the day; a charge per season or year is due once
    in each usage. One of a season is due in that season only. `price` is in yuan;
    `prices_by_floor` stands in its place where it depends on the floor.
    """

    code: Code
    name: Name
    per: Literal["day", "month", "season", "year"]
    by: Literal["premise", "household", "head", "vehicle", "area"] = "premise"
    part: Literal["whole", "by-day"] = "whole"
    season: Code | None = None
    price: NotNegative | None = None
    prices_by_floor: Annotated[tuple[FloorPrice, ...], Field(min_length=1, strict=False)] | None = (
        None
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.price is None) == (self.prices_by_floor is None):
            msg = "price: one of price and prices_by_floor is required, not both"
            raise ValueError(msg)
        floors = [each.floor for each in self.prices_by_floor or ()]
        if any(upper <= lower for lower, upper in pairwise(floors)):
            shown = ", ".join(map(str, floors))
            msg = f"prices_by_floor: {shown}: allowed are floors that ascend"
            raise ValueError(msg)
        if self.part == "by-day" and self.per != "month":
            msg = f"part: by-day: allowed is per: month, not per: {self.per}"
            raise ValueError(msg)
        return self


class Bound(StrictModel):
    """The least or the most that a month costs, before taxes, in yuan."""

    code: Code
    name: Name
    amount: Fen


class Tax(StrictModel):
    """A percentage of what some components and charges come to, rounded to the fen by itself."""

    code: Code
    name: Name
    percent: NotNegative
    of: Annotated[tuple[Code, ...], Field(min_length=1, strict=False)] | None = None


def refuse_repeats(key: str, codes: list[str]) -> None:
    """Raise ValueError where a code stands twice."""
    repeats = sorted({code for code in codes if codes.count(code) > 1})
    if repeats:
        msg = f"{key}: {', '.join(repeats)} stands twice: allowed is once"
        raise ValueError(msg)


def _not_once(minute: int, what: str) -> str:
    return f"periods: {minute // 60:02d}:{minute % 60:02d} {what}: allowed is one at any minute"
