"""What was used when, in the second engine: quanta by tier, period and season."""

from collections import Counter
from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.second_calendar import RefusedError, midnight, only_season, when_used

When = tuple[str | None, str | None]
Cells = Counter[tuple[int, str | None, str | None]]


def pieces_of(
    tariff: dict[str, Any], usage: dict[str, Any], from_on: date, to_on: date
) -> list[tuple[When, Fraction]]:
    """Give ((period, season), quantity) in the order of time; RefusedError."""
    windows = [
        window
        for period in tariff.get("time_of_use", {}).get("periods", ())
        for window in period["windows"]
    ]
    by_season = any("season" in rate for rate in tariff.get("rates", ())) or any(
        "seasons" in window for window in windows
    )
    quantity = Fraction(usage["quantity"]) if "quantity" in usage else None
    if "intervals" in usage:
        pieces = _intervals(tariff, usage, from_on, to_on, by_season=by_season)
    else:
        season = only_season(tariff, from_on, to_on) if by_season else None
        totals = usage.get("time_of_use")
        if windows:
            if totals is None:
                raise RefusedError("no registers by period")
            codes = [period["code"] for period in tariff["time_of_use"]["periods"]]
            if set(totals) - set(codes) or (set(codes) - set(totals) and quantity is None):
                raise RefusedError("other periods")
            pieces = [((code, season), Fraction(totals[code])) for code in codes if code in totals]
        elif totals is None or quantity is not None:
            if quantity is None:
                raise RefusedError("no quantity")
            if totals is not None and sum(map(Fraction, totals.values())) != quantity:
                raise RefusedError("another sum")
            return [((None, season), quantity)]
        else:
            return [((None, season), sum(map(Fraction, totals.values()), Fraction(0)))]
    said = [] if quantity is None else [quantity]
    if "time_of_use" in usage:
        said.append(sum(map(Fraction, usage["time_of_use"].values()), Fraction(0)))
    if any(total != sum(piece for _, piece in pieces) for total in said):
        raise RefusedError("another sum")
    return pieces


def _intervals(
    tariff: dict[str, Any], usage: dict[str, Any], from_on: date, to_on: date, *, by_season: bool
) -> list[tuple[When, Fraction]]:
    zone = ZoneInfo(tariff["time_zone"])
    spans = sorted(
        (datetime.fromisoformat(start), datetime.fromisoformat(end), quantity)
        for start, end, quantity in usage["intervals"]
    )
    if not spans or any(end <= start for start, end, _ in spans):
        raise RefusedError("no interval, or one without length")
    if spans[0][0] < midnight(zone, from_on) or spans[-1][1] > midnight(zone, to_on):
        raise RefusedError("an interval outside")
    if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
        raise RefusedError("intervals overlap")
    return [
        (when_used(tariff, start, end, by_season=by_season), Fraction(quantity))
        for start, end, quantity in spans
    ]


def written_in(tariff: dict[str, Any], usage: dict[str, Any]) -> list[str]:
    """Give the numbers whose decimals decide what a quantum is."""
    written = ["0", usage.get("used_before", "0")]
    if "intervals" in usage:
        written += [interval[2] for interval in usage["intervals"]]
    elif "time_of_use" in usage and ("time_of_use" in tariff or "quantity" not in usage):
        written += usage["time_of_use"].values()
    else:
        written.append(usage.get("quantity", "0"))
    if "quantity_step" in tariff:
        written += [tariff["quantity_step"], usage.get("carried_before", "0")]
    tiers = tariff.get("tiers", {})
    for limits in (tiers.get("limits", ()), *tiers.get("limits_by_season", {}).values()):
        written += limits
    written.append(tiers.get("people_allowance", {}).get("adds", "0"))
    return written


def decimals_of(written: str) -> int:
    """Count the decimals that a number is written with."""
    return len(written.partition(".")[2])


def cut_last(walk: list[tuple[When, int]], quanta: int) -> list[tuple[When, int]]:
    """Leave the last quanta to the next bill."""
    kept = sum(number for _, number in walk) - quanta
    cut: list[tuple[When, int]] = []
    for when, number in walk:
        cut.append((when, min(number, kept)))
        kept -= cut[-1][1]
    return cut


def cells_of(
    tariff: dict[str, Any],
    usage: dict[str, Any],
    walk: list[tuple[When, int]],
    limits: list[Fraction],
    at: int,
    asked: dict[str, tuple[bool, bool, bool]],
) -> Cells:
    """Walk one quantum after the other: in which tier, period and season it was used."""
    cells: Cells = Counter()
    tier = 1
    for when, quanta in walk:
        for _ in range(quanta):
            while tier <= len(limits) and at >= limits[tier - 1]:
                tier += 1
            cells[tier, *when] += 1
            at += 1
    if not any(of[0] and (of[1] or of[2]) for of in asked.values()) or "split_rule" not in tariff:
        return cells
    totals: Counter[When] = Counter()
    for when, quanta in walk:
        totals[when] += quanta
    by_tier: Counter[int] = Counter()
    for (tier, *_), quanta in cells.items():
        by_tier[tier] += quanta
    if tariff["split_rule"] == "pro-rata":
        return _shared(by_tier, totals)
    if "intervals" not in usage and len(by_tier) > 1 and len(+totals) > 1:
        raise RefusedError("nobody knows when the tier ended")
    return cells


def _shared(by_tier: Counter[int], totals: Counter[When]) -> Cells:
    # every tier takes of what is left of each period in proportion
    cells: Cells = Counter()
    left = dict(totals)
    for tier, quanta in sorted(by_tier.items()):
        whole = sum(left.values())
        ideal = {when: Fraction(quanta * rest, whole) for when, rest in left.items()}
        taken = {when: floor(share) for when, share in ideal.items()}
        while sum(taken.values()) < quanta:
            taken[max(taken, key=lambda when: ideal[when] - taken[when])] += 1
        for when, number in taken.items():
            cells[tier, *when] = number
            left[when] -= number
    return cells
