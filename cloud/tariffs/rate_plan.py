"""A tariff made ready for rating: prices as integers, and what they depend on."""

from collections.abc import Hashable, Sequence
from datetime import date
from typing import NamedTuple

from cloud.money import decimals_of, scaled
from cloud.tariffs.allowances import PART_EXPONENT, limit_exponent
from cloud.tariffs.tariff import Cell, Component, Tariff


class When(NamedTuple):
    """When something was used, as far as a tariff asks."""

    period: str | None = None
    season: str | None = None


class Layout(NamedTuple):
    """When the pieces of a use lie: whens in the order of time, of[piece] an index into them.

    ends[piece] is the column after the last of the piece, where there are intervals.
    """

    whens: tuple[When, ...]
    of: tuple[int, ...]
    ends: tuple[int, ...]


class Priced(NamedTuple):
    """A component with what its price depends on; prices in counts of the plan's exponent."""

    component: Component
    of_tier: bool
    of_period: bool
    of_season: bool
    prices: dict[Cell, int]

    @property
    def of_both(self) -> bool:
        """Tell whether tier and time decide together."""
        return self.of_tier and (self.of_period or self.of_season)


class RatePlan:
    """What rating asks of a tariff again and again; made once for many usages."""

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        prices = [price for rate in tariff.rates for price in rate.prices.values()]
        self.price_exponent = min([0, *map(decimals_of, prices)])
        self.components = tuple(self._priced(component) for component in tariff.components)
        self.needs_tiers = any(each.of_tier for each in self.components)
        self.needs_both = any(each.of_both for each in self.components)
        clock, tiers = tariff.time_of_use, tariff.tiers
        self.needs_seasons = any(each.of_season for each in self.components) or bool(
            clock is not None and clock.seasons()
        )
        self.limit_exponent = 0 if tiers is None else limit_exponent(tiers)
        if tariff.split_rule == "pro-rata":
            self.limit_exponent = min(self.limit_exponent, PART_EXPONENT)
        periods = clock.periods if clock is not None else ()
        self.period_order = {period.code: place for place, period in enumerate(periods)}
        self.season_order = {season.code: place for place, season in enumerate(tariff.seasons)}
        self.limits: dict[Hashable, list[int]] = {}
        self.layouts: dict[Hashable, Layout] = {}
        self._spans: dict[tuple[str | None, str], list[tuple[int, int, str]]] = {}

    def spans_on(self, day: date) -> Sequence[tuple[int, int, str]]:
        """Return the time-of-use periods of a local day, (start, end, code) in minutes."""
        clock = self.tariff.time_of_use
        if clock is None:
            return ()
        season = self.tariff.season_of(day) if self.needs_seasons else None
        key = season, clock.day_type(day)
        spans = self._spans.get(key)
        if spans is None:
            spans = self._spans[key] = clock.spans(*key)
        return spans

    def _priced(self, component: Component) -> Priced:
        prices = self.tariff.prices_of(component.code)
        return Priced(
            component,
            *self.tariff.depends(component.code),
            {cell: scaled(price, self.price_exponent) for cell, price in prices.items()},
        )
