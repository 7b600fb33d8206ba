"""A tariff: who may be charged what, as data with effective dates and a source."""

from datetime import date
from decimal import Decimal, localcontext
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cloud.billing.documents import ExactDecimal, StrictModel, WholeNumber
from cloud.billing.money import EXACT

_DAY_MINUTES = 24 * 60
_HOUR_MINUTES = 60


class SupplyKind(StrEnum):
    """Who the customer of the supply is."""

    COLLECTED = "collected"  # 代抄代收
    RESOLD = "resold"  # 转供
    PUBLIC = "public"  # 公区


def _date(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            msg = "allowed is a date such as 2026-07-01"
            raise ValueError(msg) from None
    return value


def _supply_kind(value: object) -> object:
    if isinstance(value, str) and value not in set(SupplyKind):
        msg = f"allowed are {', '.join(SupplyKind)}"
        raise ValueError(msg)
    return SupplyKind(value) if isinstance(value, str) else value


def _minutes(value: object) -> object:
    if isinstance(value, str):
        hours, colon, minutes = value.partition(":")
        if colon and all(len(part) == 2 and part.isdecimal() for part in (hours, minutes)):  # noqa: PLR2004  # HH:MM
            total = int(hours) * _HOUR_MINUTES + int(minutes)
            if int(minutes) < _HOUR_MINUTES and total <= _DAY_MINUTES:
                return value
    msg = "allowed is a time of day such as 06:00, from 00:00 to 24:00"
    raise ValueError(msg)


Day = Annotated[date, BeforeValidator(_date)]
TimeOfDay = Annotated[str, BeforeValidator(_minutes)]
Kind = Annotated[SupplyKind, BeforeValidator(_supply_kind)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
NotNegative = Annotated[ExactDecimal, Field(ge=0)]
Positive = Annotated[ExactDecimal, Field(gt=0)]


class Name(StrictModel):
    """A name in Chinese and English."""

    zh: Text
    en: Text


class Component(StrictModel):
    """A part of the price that is shown apart, such as water, resource fee and sewage."""

    code: Code
    name: Name


class PeopleAllowance(StrictModel):
    """What every tier limit gains for a large household: once (flat) or for each such person."""

    people_from: Annotated[WholeNumber, Field(ge=1)]
    adds: Positive
    per: Literal["month", "year"]
    each: bool = False


class Tiers(StrictModel):
    """Tiers 阶梯: the upper limits of all but the last, for one month or one calendar year.

    A bill of n whole months has n times the monthly limits. With per_household the limits of a
    meter shared by several households are multiplied by their number.
    """

    period: Literal["month", "year"]
    limits: Annotated[tuple[Positive, ...], Field(min_length=1, strict=False)]
    people_allowance: PeopleAllowance | None = None
    per_household: bool = False

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(upper <= lower for lower, upper in pairwise(self.limits)):
            msg = "limits must ascend"
            raise ValueError(msg)
        allowance = self.people_allowance
        if allowance is not None and self.period == "month" and allowance.per == "year":
            msg = "a monthly tier cannot have a yearly people_allowance; allowed is per: month"
            raise ValueError(msg)
        return self


class Window(StrictModel):
    """A stretch of the local day, from start to end; across midnight where end <= start."""

    start: TimeOfDay
    end: TimeOfDay

    def minutes(self) -> tuple[tuple[int, int], ...]:
        """Give one or two [start, end) stretches in minutes of the day."""
        start, end = minute_of(self.start), minute_of(self.end)
        if start < end:
            return ((start, end),)
        return tuple(span for span in ((start, _DAY_MINUTES), (0, end)) if span[0] < span[1])


class TimeOfUsePeriod(StrictModel):
    """A named time-of-use period 峰谷 and its windows."""

    code: Code
    name: Name
    windows: Annotated[tuple[Window, ...], Field(min_length=1, strict=False)]


class TimeOfUse(StrictModel):
    """Periods that cover every minute of the day exactly once."""

    periods: Annotated[tuple[TimeOfUsePeriod, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _covers_the_day(self) -> Self:
        spans = sorted(
            span
            for period in self.periods
            for window in period.windows
            for span in window.minutes()
        )
        at = 0
        for start, end in spans:
            if start != at:
                what = "is in no period" if start > at else "is in two periods"
                minute = min(start, at)
                msg = f"{minute // 60:02d}:{minute % 60:02d} {what}"
                raise ValueError(msg)
            at = end
        if at != _DAY_MINUTES:
            msg = f"{at // 60:02d}:{at % 60:02d} is in no period"
            raise ValueError(msg)
        _refuse_repeats("periods", [period.code for period in self.periods])
        return self


class Rate(StrictModel):
    """The price per uom of each component in one tier and time-of-use period, in yuan."""

    tier: Annotated[WholeNumber, Field(ge=1)] = 1
    period: Code | None = None
    prices: Annotated[dict[Code, NotNegative], Field(min_length=1)]
    total: NotNegative | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        with localcontext(EXACT):
            parts = sum(self.prices.values(), Decimal(0))
        if self.total is not None and parts != self.total:
            msg = f"the prices add up to {parts}, the total says {self.total}"
            raise ValueError(msg)
        return self


class FixedCharge(StrictModel):
    """A charge per month or day, by premise, household or square metre, in yuan."""

    code: Code
    name: Name
    per: Literal["month", "day"]
    by: Literal["premise", "household", "area"] = "premise"
    price: NotNegative


class Tariff(StrictModel):
    """One version of a tariff, in force on the days [effective_from, effective_to)."""

    id: Code
    version: Text
    name: Name
    effective_from: Day
    effective_to: Day | None = None
    time_zone: str
    source: Text
    verified: bool
    service: Code
    uom: Text
    supply_kinds: Annotated[tuple[Kind, ...], Field(min_length=1, strict=False)]
    rounding: Literal["line", "component", "once"]
    quantity_step: Positive | None = None
    price_source: Literal["tariff", "invoice"] = "tariff"
    tiers: Tiers | None = None
    time_of_use: TimeOfUse | None = None
    split_rule: Literal["by-time", "pro-rata"] | None = None
    components: Annotated[tuple[Component, ...], Field(strict=False)] = ()
    rates: Annotated[tuple[Rate, ...], Field(strict=False)] = ()
    fixed_charges: Annotated[tuple[FixedCharge, ...], Field(strict=False)] = ()

    @field_validator("time_zone")
    @classmethod
    def _known_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            msg = "allowed is an IANA time zone such as Asia/Shanghai"
            raise ValueError(msg) from None
        return value

    @property
    def zone(self) -> ZoneInfo:
        """Give the zone whose midnights bound its days."""
        return ZoneInfo(self.time_zone)

    @property
    def is_metered(self) -> bool:
        """Tell whether it charges a quantity at all, beside fixed charges."""
        return bool(self.components)

    def in_force_on(self, day: date) -> bool:
        """Tell whether this version applies on a local day."""
        return self.effective_from <= day and (self.effective_to is None or day < self.effective_to)

    def price(self, tier: int, period: str | None, component: str) -> Decimal:
        """Give the price in yuan per uom; KeyError where the tariff has none."""
        for rate in self.rates:
            if rate.tier == tier and rate.period == period:
                return rate.prices[component]
        raise KeyError((tier, period, component))

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.effective_to is not None and self.effective_to <= self.effective_from:
            msg = f"effective_to {self.effective_to} must lie after {self.effective_from}"
            raise ValueError(msg)
        _refuse_repeats("components", [component.code for component in self.components])
        _refuse_repeats("fixed_charges", [charge.code for charge in self.fixed_charges])
        if not self.components and not self.fixed_charges:
            msg = "a tariff needs components with rates, or fixed_charges"
            raise ValueError(msg)
        self._check_rates()
        if (self.tiers is not None and self.time_of_use is not None) != (
            self.split_rule is not None
        ):
            msg = "split_rule (by-time or pro-rata) is named where tiers meet time_of_use, only"
            raise ValueError(msg)
        if self.quantity_step is not None and self.time_of_use is not None:
            msg = "quantity_step is allowed only without time_of_use"
            raise ValueError(msg)
        return self

    def _check_rates(self) -> None:
        if self.price_source == "invoice" or not self.components:
            if self.rates or self.tiers or self.time_of_use or self.split_rule:
                msg = "rates, tiers and time_of_use need components and price_source: tariff"
                raise ValueError(msg)
            if self.price_source == "invoice" and len(self.components) != 1:
                msg = "price_source: invoice needs exactly one component"
                raise ValueError(msg)
            return
        tiers = range(1, 2 + (len(self.tiers.limits) if self.tiers else 0))
        periods = (
            [period.code for period in self.time_of_use.periods] if self.time_of_use else [None]
        )
        wanted = {(tier, period) for tier in tiers for period in periods}
        given = [(rate.tier, rate.period) for rate in self.rates]
        _refuse_repeats("rates", [_cell(*cell) for cell in given])
        for what, cells in (("missing", wanted - set(given)), ("extra", set(given) - wanted)):
            if cells:
                names = ", ".join(sorted(_cell(*cell) for cell in cells))
                msg = f"rates: {what} {names}; allowed is one rate per tier and period"
                raise ValueError(msg)
        codes = {component.code for component in self.components}
        for rate in self.rates:
            if rate.prices.keys() != codes:
                msg = (
                    f"rates: {_cell(rate.tier, rate.period)}: prices name"
                    f" {', '.join(sorted(rate.prices))}; allowed are exactly"
                    f" {', '.join(sorted(codes))}"
                )
                raise ValueError(msg)


def minute_of(time_of_day: str) -> int:
    """Give the minute of the day of a checked HH:MM."""
    return int(time_of_day[:2]) * _HOUR_MINUTES + int(time_of_day[3:])


def _cell(tier: int, period: str | None) -> str:
    return f"tier {tier}" + (f" period {period}" if period else "")


def _refuse_repeats(key: str, codes: list[str]) -> None:
    repeats = sorted({code for code in codes if codes.count(code) > 1})
    if repeats:
        msg = f"{key}: {', '.join(repeats)} stands twice"
        raise ValueError(msg)
