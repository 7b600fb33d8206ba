"""The limits of tiers for one usage: by day, month, season or year, by size of household."""

from calendar import isleap, monthrange
from datetime import date, timedelta
from decimal import Decimal

from cloud.money import decimals_of, divide_half_away, scaled
from cloud.tariffs.errors import RatingError
from cloud.tariffs.tariff import Tariff, Tiers
from cloud.tariffs.tiers import billing_months
from cloud.tariffs.usage import Usage

# parts of limits and of quantities are rounded to hundredths of the uom, or finer
PART_EXPONENT = -2
_MONTHS = 12


def months_of(usage: Usage) -> int:
    """Count the billing months of a usage; RatingError where they are not whole."""
    months = billing_months(usage.from_on, usage.to_on)
    if months is None:
        msg = (
            f"to: {usage.to_on}: a bill by the month covers up to one month from"
            f" {usage.from_on}, or whole months: split the usage"
        )
        raise RatingError(msg)
    return months


def part_of_month(usage: Usage) -> tuple[int, int]:
    """Give the span in months as numerator and denominator: (2, 1), or (12, 31) by the day."""
    from_on, to_on = usage.from_on, usage.to_on
    last = to_on - timedelta(days=1)
    if (last.year, last.month) != (from_on.year, from_on.month):
        if to_on.day != from_on.day:
            msg = f"to: {to_on}: a part of a month is counted by its days: split the usage there"
            raise RatingError(msg)
        return months_of(usage), 1
    days = monthrange(from_on.year, from_on.month)[1]
    return (1, 1) if usage.days == days else (usage.days, days)


def tier_period_start(tariff: Tariff, day: date) -> date:
    """Return the day on which the tier period of a day began: what was used since counts."""
    tiers = tariff.tiers
    if tiers is None or tiers.period == "day":
        return day
    if tiers.period == "month":
        return day.replace(day=1)
    if tiers.period == "year":
        return date(day.year, 1, 1)
    season, first = tariff.season_of(day), day
    while tariff.season_of(first - timedelta(days=1)) == season and (day - first).days < 366:  # noqa: PLR2004  # a year
        first -= timedelta(days=1)
    return first


def limits_of(tariff: Tariff, usage: Usage, exponent: int) -> list[int]:
    """Return the upper limits of all tiers but the last, in counts of 10**exponent.

    RatingError; exponent is at most `limit_exponent`.
    """
    tiers = tariff.tiers
    if tiers is None:
        return []
    if tiers.limits_by_season is not None:
        named = tiers.limits_by_season[single_season(tariff, usage) or ""]
    else:
        named = tiers.limits or ()
    factor, parts = _factor(tariff, tiers, usage)
    extra, times = _extra(tiers, usage)
    households = usage.premise.households
    if households > 1 and not tiers.per_household:
        msg = (
            f"premise.households: {households}: this tariff's tiers are for one household;"
            " allowed is 1, or a tariff whose tiers say per_household"
        )
        raise RatingError(msg)
    unit = limit_exponent(tiers)
    whole = [
        (scaled(limit, unit) + scaled(extra, unit) * times) * factor * households for limit in named
    ]
    if parts > 1:
        whole = [divide_half_away(limit, parts) for limit in whole]
    # how many decimals a quantity is written with must not move a limit
    finer: int = 10 ** (unit - exponent)
    return [limit * finer for limit in whole]


def limit_exponent(tiers: Tiers) -> int:
    """Give the exponent in which limits are exact; parts of them are rounded to hundredths."""
    sets = (tiers.limits or (), *(tiers.limits_by_season or {}).values())
    written = [limit for limits in sets for limit in limits]
    if tiers.people_allowance is not None:
        written.append(tiers.people_allowance.adds)
    least = PART_EXPONENT if tiers.part != "whole" else 0
    return min([least, *map(decimals_of, written)])


def single_season(tariff: Tariff, usage: Usage) -> str | None:
    """Name the one season that a usage lies in; RatingError where there are two."""
    first = tariff.season_of(usage.from_on)
    day = usage.from_on
    while (day := day + timedelta(days=1)) < usage.to_on:
        if tariff.season_of(day) != first:
            msg = f"to: {usage.to_on}: another season begins on {day}: split the usage there"
            raise RatingError(msg)
    return first


def _factor(tariff: Tariff, tiers: Tiers, usage: Usage) -> tuple[int, int]:
    # by what the limits of a whole tier period are multiplied, as numerator and denominator
    if tiers.period == "day":
        return usage.days, 1
    if tiers.period == "month":
        return part_of_month(usage) if tiers.part == "by-day" else (months_of(usage), 1)
    if tiers.period == "season":
        single_season(tariff, usage)
        return 1, 1
    from_on, to_on, held_from = usage.from_on, usage.to_on, usage.held_from
    if (to_on.year, to_on.month, to_on.day) > (from_on.year + 1, 1, 1):
        msg = f"to: {to_on}: annual tiers begin anew on 1 January: split the usage there"
        raise RatingError(msg)
    if tiers.part == "whole" or held_from is None or held_from.year < from_on.year:
        return 1, 1
    if tiers.part == "by-month":
        return _MONTHS + 1 - held_from.month, _MONTHS
    year = 366 if isleap(from_on.year) else 365
    return (date(from_on.year + 1, 1, 1) - held_from).days, year


def _extra(tiers: Tiers, usage: Usage) -> tuple[Decimal, int]:
    # what a large household's limit gains in a whole tier period, and how many times
    allowance, people = tiers.people_allowance, usage.premise.people
    if allowance is None or people is None or people < allowance.people_from:
        return Decimal(0), 0
    heads = people - allowance.people_from + 1 if allowance.each else 1
    monthly = allowance.per == "month" and tiers.period == "year"
    return allowance.adds, heads * (_MONTHS if monthly else 1)
