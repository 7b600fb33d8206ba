"""Which quantity falls into which tier, period and season."""

from calendar import isleap
from collections import Counter
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from .calendar import When, months_of, one_season, part_of_month, when_used
from .values import (
    DiffersError,
    Doc,
    decimal_of,
    decimals_of,
    half_away,
    instant_of,
    local_day,
    midnight,
    same,
)

Cells = Counter[tuple[int, str | None, str | None]]


def pieces_of(tariff: Doc, usage: Doc, first: date, last: date) -> list[tuple[When, str]]:
    """Return ((period, season), quantity) in the order of time, as totals or intervals tell it."""
    clock, quantity = tariff["time_of_use"], usage["quantity"]
    totals, intervals = usage["time_of_use"], usage["intervals"]
    by_season = any(rate["season"] is not None for rate in tariff["rates"]) or any(
        window["seasons"] is not None
        for period in (clock or {"periods": ()})["periods"]
        for window in period["windows"]
    )
    if intervals is not None:
        spans = sorted(
            (instant_of(start), instant_of(end), number) for start, end, number in intervals
        )
        zone, known = ZoneInfo(tariff["time_zone"]), dict[tuple[str, str], list[str]]()
        edges = [midnight(zone, str(first)), midnight(zone, str(last))]
        times = [edges[0], *(at for start, end, _ in spans for at in (start, end)), edges[1]]
        if times != sorted(times) or any(end <= start for start, end, _ in spans):
            raise DiffersError("inputs.intervals: overlap, or reach over the ends of the bill")
        pieces = [
            (when_used(tariff, start.astimezone(zone), end, known, by_season=by_season), number)
            for start, end, number in spans
        ]
    else:
        season = one_season(tariff, first, last) if by_season else None
        if clock is None:
            pieces = [((None, season), quantity)]
        else:
            codes = [period["code"] for period in clock["periods"]]
            if set(totals) - set(codes) or (set(codes) - set(totals) and quantity is None):
                raise DiffersError(f"inputs.time_of_use: {sorted(totals)}, expected {codes}")
            pieces = [((code, season), totals[code]) for code in codes if code in totals]
    whole = sum((decimal_of(number, "inputs.quantity") for _, number in pieces), Fraction(0))
    if quantity is not None:
        same("inputs.quantity", decimal_of(quantity, "inputs.quantity"), whole)
    if totals is not None:
        said = sum(
            (decimal_of(number, "inputs.time_of_use") for number in totals.values()), Fraction(0)
        )
        same("inputs.time_of_use", said, whole)
    return pieces


def whole_steps(walk: list[tuple[When, int]], carried: int, step: int) -> list[tuple[When, int]]:
    """Return what is billed in whole steps; what is left was used last."""
    walk = [(walk[0][0], walk[0][1] + carried), *walk[1:]]
    total = sum(number for _, number in walk)
    left, made = total - total % step, []
    for when, number in walk:
        made.append((when, min(number, left)))
        left -= made[-1][1]
    return made


def cells_of(
    tariff: Doc,
    usage: Doc,
    walk: list[tuple[When, int]],
    limits: list[int],
    at: int,
    *,
    both: bool,
) -> Cells:
    """Return quanta by tier, period and season."""
    cells, by_tier, totals = Cells(), Counter[int](), Counter[When]()
    for when, number in walk:
        floor = 0
        for tier, limit in enumerate([*limits, at + number], start=1):
            part = min(limit, at + number) - max(floor, at)
            floor = limit
            if part > 0:
                cells[tier, *when] += part
                by_tier[tier] += part
        at += number
        totals[when] += number
    if not both or tariff["split_rule"] is None:
        return cells
    if tariff["split_rule"] == "pro-rata":
        return _mixed(by_tier, totals)
    if usage["intervals"] is None and len(by_tier) > 1 and len(+totals) > 1:
        raise DiffersError("inputs.intervals: nobody knows when the tier ended")
    return cells


def every_limit(tiers: Doc) -> list[str]:
    """Return the texts of all limits, whose decimals say what a quantum is."""
    sets = [tiers.get("limits") or [], *(tiers.get("limits_by_season") or {}).values()]
    allowance = tiers.get("people_allowance") or {"adds": "0"}
    return [*(limit for some in sets for limit in some), allowance["adds"]]


def limits_of(tariff: Doc, tiers: Doc, usage: Doc, first: date, last: date) -> list[Fraction]:
    """Return the upper limits of all tiers but the last for this bill."""
    premise, allowance = usage["premise"], tiers["people_allowance"]
    households, people = premise["households"] or 1, premise["people"]
    if households > 1 and not tiers["per_household"]:
        raise DiffersError("inputs.premise.households: the tariff's tiers are for one household")
    written = tiers["limits"]
    if tiers["limits_by_season"] is not None:
        written = tiers["limits_by_season"][one_season(tariff, first, last)]
    extra = Fraction(0)
    if allowance is not None and people is not None and people >= allowance["people_from"]:
        heads = people - allowance["people_from"] + 1 if allowance["each"] else 1
        months = 12 if (allowance["per"], tiers["period"]) == ("month", "year") else 1
        extra = decimal_of(allowance["adds"], "tariff") * heads * months
    factor = _factor(tariff, tiers, usage, first, last)
    limits = [(decimal_of(limit, "tariff") + extra) * factor * households for limit in written]
    if factor.denominator == 1:
        return limits
    unit = 10 ** max(2, *map(decimals_of, every_limit(tiers)))
    return [Fraction(half_away(limit * unit), unit) for limit in limits]


def _mixed(by_tier: Counter[int], totals: Counter[When]) -> Cells:
    # every tier takes of what is left of each period in proportion, largest remainder first
    cells, left = Cells(), dict(totals)
    for tier, number in sorted(by_tier.items()):
        whole = sum(left.values())
        shares = {when: divmod(number * rest, whole) for when, rest in left.items()}
        over = number - sum(share for share, _ in shares.values())
        first = sorted(left, key=lambda when: -shares[when][1])[:over]
        for when, (share, _) in shares.items():
            cells[tier, *when] = share + (when in first)
            left[when] -= cells[tier, *when]
    return cells


def _factor(tariff: Doc, tiers: Doc, usage: Doc, first: date, last: date) -> Fraction:
    # how many of the limits' own periods a bill has
    period, part, held = tiers["period"], tiers["part"], usage["held_from"]
    if period == "day":
        return Fraction((last - first).days)
    if period == "month":
        return (
            Fraction(*part_of_month(first, last))
            if part == "by-day"
            else Fraction(months_of(first, last))
        )
    if period == "season":
        one_season(tariff, first, last)
        return Fraction(1)
    new_year = date(first.year + 1, 1, 1)
    if period != "year" or last > new_year:
        raise DiffersError(f"tariff.tiers.period: {period!r}: {first} to {last} cannot be computed")
    if part == "whole" or held is None or local_day(held).year < first.year:
        return Fraction(1)
    if part == "by-month":
        return Fraction(13 - local_day(held).month, 12)
    return Fraction((new_year - local_day(held)).days, 366 if isleap(first.year) else 365)
