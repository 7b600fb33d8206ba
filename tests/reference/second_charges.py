"""What the second engine charges beside prices: limits of tiers, fixed charges, bounds, taxes."""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from math import floor
from typing import Any

from tests.reference.second_calendar import (
    RefusedError,
    days_of_month,
    only_season,
    whole_months,
)


def half_away(value: Fraction) -> int:
    """Round half away from zero."""
    nearest = floor(abs(value) + Fraction(1, 2))
    return nearest if value >= 0 else -nearest


def limits_of(
    tariff: dict[str, Any], usage: dict[str, Any], from_on: date, to_on: date
) -> list[Fraction]:
    """Give the upper limits of the tiers but the last for this usage."""
    tiers = tariff.get("tiers")
    if tiers is None:
        return []
    premise = usage.get("premise", {})
    households = int(premise.get("households", 1))
    if households > 1 and tiers.get("per_household") != "true":
        raise RefusedError("several households")
    if "limits_by_season" in tiers:
        written = tiers["limits_by_season"][only_season(tariff, from_on, to_on)]
    else:
        written = tiers["limits"]
    factor = _factor(tariff, tiers, usage, from_on, to_on)
    extra = _extra(tiers, premise.get("people"))
    limits = [(Fraction(limit) + extra) * factor * households for limit in written]
    if factor.denominator == 1:
        return limits
    every = [*tiers.get("limits", ())]
    every += [limit for some in tiers.get("limits_by_season", {}).values() for limit in some]
    every.append(tiers.get("people_allowance", {}).get("adds", "0"))
    unit = 10 ** max(2, *(len(limit.partition(".")[2]) for limit in every))
    return [Fraction(half_away(limit * unit), unit) for limit in limits]


def charges(
    tariff: dict[str, Any], usage: dict[str, Any], from_on: date, to_on: date
) -> Iterator[tuple[str, Fraction, Fraction, Fraction]]:
    """Give (code, quantity, price, part of a month) of each fixed charge."""
    premise = usage.get("premise", {})
    for charge in tariff.get("fixed_charges", ()):
        if "season" in charge and only_season(tariff, from_on, to_on) != charge["season"]:
            continue
        times, part = _times(tariff, charge, from_on, to_on)
        key = {"area": "area_m2", "head": "people", "vehicle": "vehicles"}.get(
            by := charge.get("by", "premise")
        )
        if key is not None and premise.get(key) is None:
            raise RefusedError(f"no {key}")
        counted = Fraction(premise.get("households", 1) if by == "household" else 1)
        if key is not None:
            counted = Fraction(premise[key])
        yield charge["code"], counted * times, _price(charge, premise), part


def bound(
    tariff: dict[str, Any], sum_fen: int, from_on: date, to_on: date
) -> tuple[str, int] | None:
    """Give the code and fen that lift a bill to its least or cut it to its most."""
    for key, sign in (("minimum_charge", 1), ("maximum_charge", -1)):
        if key in tariff:
            whole = Fraction(tariff[key]["amount"]) * 100 * whole_months(from_on, to_on)
            missing = int(whole) - sum_fen
            if missing * sign > 0:
                return str(tariff[key]["code"]), missing
    return None


def taxes(
    tariff: dict[str, Any], amounts: list[tuple[str, int]]
) -> Iterator[tuple[str, int, Fraction, int]]:
    """Give (code, base in fen, percent, fen) of each tax on amounts by component."""
    for tax in tariff.get("taxes", ()):
        base = sum(fen for code, fen in amounts if "of" not in tax or code in tax["of"])
        percent = Fraction(tax["percent"])
        if base:
            yield tax["code"], base, percent, half_away(base * percent / 100)


def _factor(
    tariff: dict[str, Any], tiers: dict[str, Any], usage: dict[str, Any], from_on: date, to_on: date
) -> Fraction:
    # how many of the limits' own periods a usage has
    part = tiers.get("part", "whole")
    if tiers["period"] == "day":
        return Fraction((to_on - from_on).days)
    if tiers["period"] == "month":
        if part == "by-day":
            return days_of_month(from_on, to_on)
        return Fraction(whole_months(from_on, to_on))
    if tiers["period"] == "season":
        only_season(tariff, from_on, to_on)
        return Fraction(1)
    new_year = date(from_on.year + 1, 1, 1)
    if to_on > new_year:
        raise RefusedError("over new year")
    held_from = date.fromisoformat(usage.get("held_from", "0001-01-01"))
    if part == "whole" or held_from.year < from_on.year:
        return Fraction(1)
    if part == "by-month":
        months = [month for month in range(1, 13) if month >= held_from.month]
        return Fraction(len(months), 12)
    return Fraction((new_year - held_from).days, (new_year - date(from_on.year, 1, 1)).days)


def _extra(tiers: dict[str, Any], people: int | str | None) -> Fraction:
    allowance = tiers.get("people_allowance")
    if allowance is None or people is None or int(people) < int(allowance["people_from"]):
        return Fraction(0)
    heads = 1
    if allowance.get("each") == "true":
        heads = len(range(int(allowance["people_from"]), int(people) + 1))
    months = 12 if (allowance["per"], tiers["period"]) == ("month", "year") else 1
    return Fraction(allowance["adds"]) * heads * months


def _times(
    tariff: dict[str, Any], charge: dict[str, Any], from_on: date, to_on: date
) -> tuple[Fraction, Fraction]:
    if charge["per"] == "day":
        return Fraction((to_on - from_on).days), Fraction(1)
    if charge["per"] == "month":
        if charge.get("part") == "by-day":
            months = days_of_month(from_on, to_on)
            return (months, Fraction(1)) if months >= 1 else (Fraction(1), months)
        return Fraction(whole_months(from_on, to_on)), Fraction(1)
    if charge["per"] == "season":
        only_season(tariff, from_on, to_on)
    if charge["per"] == "year" and to_on > _year_later(from_on):
        raise RefusedError("more than a year")
    return Fraction(1), Fraction(1)


def _year_later(day: date) -> date:
    return (
        date(day.year + 1, 2, 28)
        if (day.month, day.day) == (2, 29)
        else day.replace(year=day.year + 1)
    )


def _price(charge: dict[str, Any], premise: dict[str, Any]) -> Fraction:
    if "price" in charge:
        return Fraction(charge["price"])
    if premise.get("floor") is None:
        raise RefusedError("no floor")
    at_or_below = [
        each for each in charge["prices_by_floor"] if int(each["floor"]) <= int(premise["floor"])
    ]
    if not at_or_below:
        raise RefusedError("below the lowest floor")
    return Fraction(max(at_or_below, key=lambda each: int(each["floor"]))["price"])
