"""A tariff: who may be charged what, as data with effective dates and a source."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from cloud.documents import StrictModel
from cloud.tariffs.parts import (
    Bound,
    Component,
    FixedCharge,
    Name,
    Rate,
    Season,
    Tax,
    Tiers,
    TimeOfUse,
    refuse_repeats,
)
from cloud.tariffs.values import Code, Day, Kind, Positive, SupplyKind, Text

__all__ = ["Cell", "Component", "FixedCharge", "SupplyKind", "Tariff", "Tiers", "TimeOfUse"]

_YEAR_DAYS = [date.fromordinal(date(2024, 1, 1).toordinal() + day) for day in range(366)]


class Cell(NamedTuple):
    """What a price depends on; None where it does not matter."""

    tier: int | None = None
    period: str | None = None
    season: str | None = None


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
    missing_end: Literal["hold", "estimate"] = "hold"
    price_source: Literal["tariff", "invoice"] = "tariff"
    seasons: Annotated[tuple[Season, ...], Field(strict=False)] = ()
    tiers: Tiers | None = None
    time_of_use: TimeOfUse | None = None
    split_rule: Literal["by-time", "pro-rata"] | None = None
    components: Annotated[tuple[Component, ...], Field(strict=False)] = ()
    rates: Annotated[tuple[Rate, ...], Field(strict=False)] = ()
    fixed_charges: Annotated[tuple[FixedCharge, ...], Field(strict=False)] = ()
    minimum_charge: Bound | None = None
    maximum_charge: Bound | None = None
    taxes: Annotated[tuple[Tax, ...], Field(strict=False)] = ()

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

    def season_of(self, day: date) -> str | None:
        """Name the season of a day, None where the tariff has no seasons."""
        return next((season.code for season in self.seasons if season.holds(day)), None)

    def prices_of(self, component: str) -> dict[Cell, Decimal]:
        """Give the prices of a component in yuan per uom, by what they depend on."""
        return {
            Cell(rate.tier, rate.period, rate.season): rate.prices[component]
            for rate in self.rates
            if component in rate.prices
        }

    def depends(self, component: str) -> tuple[bool, bool, bool]:
        """Tell whether the price of a component depends on tier, period and season."""
        cells = self.prices_of(component)
        tier, period, season = (any(cell[at] is not None for cell in cells) for at in range(3))
        return tier, period, season

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.effective_to is not None and self.effective_to <= self.effective_from:
            msg = (
                f"effective_to: {self.effective_to}: allowed is a day after effective_from"
                f" ({self.effective_from})"
            )
            raise ValueError(msg)
        self._check_bounds()
        refuse_repeats(
            "components, fixed_charges, bounds and taxes",
            [*self._charged(), *self._bounds(), *(tax.code for tax in self.taxes)],
        )
        if not self.components and not self.fixed_charges:
            msg = "components: missing: allowed are components with rates, or fixed_charges"
            raise ValueError(msg)
        self._check_seasons()
        self._check_rates()
        self._check_taxes()
        both = any(
            tier and (period or season)
            for tier, period, season in (self.depends(each.code) for each in self.components)
        )
        if (both and self.time_of_use is not None) != (self.split_rule is not None):
            msg = (
                f"split_rule: {self.split_rule or 'missing'}: allowed are by-time and pro-rata"
                " where a price depends on tier and period, nothing elsewhere"
            )
            raise ValueError(msg)
        if self.quantity_step is not None and self.time_of_use is not None:
            msg = f"quantity_step: {self.quantity_step}: allowed only without time_of_use"
            raise ValueError(msg)
        return self

    def _check_seasons(self) -> None:
        codes = [season.code for season in self.seasons]
        refuse_repeats("seasons", codes)
        for day in _YEAR_DAYS if codes else ():
            held = [season.code for season in self.seasons if season.holds(day)]
            if len(held) != 1:
                what = f"is in {' and '.join(held)}" if held else "is in no season"
                msg = f"seasons: {day:%m-%d} {what}; allowed is one for each day"
                raise ValueError(msg)
        for place, named in self._named_seasons():
            if others := sorted(named - set(codes)):
                allowed = ", ".join(codes) or "none"
                msg = f"{place}: {', '.join(others)}: allowed are the seasons {allowed}"
                raise ValueError(msg)
        tiers, clock = self.tiers, self.time_of_use
        if tiers is not None and tiers.limits_by_season is not None:
            if set(tiers.limits_by_season) != set(codes):
                shown = ", ".join(tiers.limits_by_season)
                msg = f"tiers.limits_by_season: {shown}: allowed are exactly {', '.join(codes)}"
                raise ValueError(msg)
        elif tiers is not None and tiers.period == "season" and not codes:
            msg = "tiers.period: season: allowed where the tariff has seasons"
            raise ValueError(msg)
        if clock is not None and clock.seasons():
            clock.check(codes)

    def _named_seasons(self) -> Iterator[tuple[str, set[str]]]:
        # where seasons are named, and which
        for index, rate in enumerate(self.rates):
            yield f"rates.{index}.season", {rate.season} if rate.season else set()
        for charge in self.fixed_charges:
            yield f"fixed_charges.{charge.code}.season", {charge.season} if charge.season else set()
        if self.tiers is not None:
            yield "tiers.limits_by_season", set(self.tiers.limits_by_season or {})
        if self.time_of_use is not None:
            yield "time_of_use.periods", self.time_of_use.seasons()

    def _check_rates(self) -> None:
        if self.price_source == "invoice" or not self.components:
            if self.rates or self.tiers or self.time_of_use or self.split_rule:
                msg = "rates, tiers and time_of_use need components and price_source: tariff"
                raise ValueError(msg)
            if self.price_source == "invoice" and len(self.components) != 1:
                msg = (
                    f"components: {len(self.components)}: price_source: invoice allows exactly one"
                )
                raise ValueError(msg)
            return
        codes = {component.code for component in self.components}
        for index, rate in enumerate(self.rates):
            if unknown := sorted(rate.prices.keys() - codes):
                msg = (
                    f"rates.{index}.prices: {', '.join(unknown)} in {_cell(_of(rate))}:"
                    f" allowed are {', '.join(sorted(codes))}"
                )
                raise ValueError(msg)
        for component in self.components:
            self._check_prices(component)
        if self.tiers is not None and not any(rate.tier for rate in self.rates):
            msg = "tiers: no rate names a tier; allowed is one rate for each tier"
            raise ValueError(msg)
        if self.time_of_use is not None and not any(rate.period for rate in self.rates):
            msg = "time_of_use: no rate names a period; allowed is one rate for each period"
            raise ValueError(msg)

    def _check_prices(self, component: Component) -> None:
        given = [_of(rate) for rate in self.rates if component.code in rate.prices]
        refuse_repeats(f"rates: {component.code}", [_cell(cell) for cell in given])
        of_tier, of_period, of_season = self.depends(component.code)
        tiers = range(1, 1 + (self.tiers.count if self.tiers else 1)) if of_tier else [None]
        periods = (
            [period.code for period in self.time_of_use.periods]
            if self.time_of_use and of_period
            else [None]
        )
        seasons = [season.code for season in self.seasons] if of_season else [None]
        wanted = {
            Cell(tier, period, season) for tier in tiers for period in periods for season in seasons
        }
        for what, cells in (("missing", wanted - set(given)), ("extra", set(given) - wanted)):
            if cells:
                names = ", ".join(sorted(map(_cell, cells)))
                msg = (
                    f"rates: {component.code}: {what} {names}; allowed is one rate for each of"
                    " what its prices depend on"
                )
                raise ValueError(msg)
        for index, rate in enumerate(self.rates):
            price = rate.prices.get(component.code)
            if price is not None and price < 0 and not component.credit:
                msg = (
                    f"rates.{index}.prices.{component.code}: {price:f}: allowed is 0 or more,"
                    " below 0 in a credit only"
                )
                raise ValueError(msg)

    def _charged(self) -> list[str]:
        metered = [component.code for component in self.components]
        return metered + [charge.code for charge in self.fixed_charges]

    def _bounds(self) -> list[str]:
        return [each.code for each in (self.minimum_charge, self.maximum_charge) if each]

    def _check_bounds(self) -> None:
        least, most = self.minimum_charge, self.maximum_charge
        if least is not None and most is not None and most.amount < least.amount:
            msg = f"maximum_charge.amount: {most.amount}: allowed is {least.amount} or more"
            raise ValueError(msg)

    def _check_taxes(self) -> None:
        taxed = self._charged()
        for tax in self.taxes:
            if unknown := sorted(set(tax.of or ()) - set(taxed)):
                msg = f"taxes.{tax.code}.of: {', '.join(unknown)}: allowed are {', '.join(taxed)}"
                raise ValueError(msg)


def _of(rate: Rate) -> Cell:
    return Cell(rate.tier, rate.period, rate.season)


def _cell(cell: Cell) -> str:
    named = zip(("tier", "period", "season"), cell, strict=True)
    return " ".join(f"{what} {value}" for what, value in named if value is not None) or "(all)"
