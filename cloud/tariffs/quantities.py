"""The metered part of a rating: which quantity falls into which tier, period and season."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from cloud.money import decimals_of, scaled, unscaled
from cloud.tariffs.allowances import limits_of, single_season
from cloud.tariffs.errors import IntervalsNeededError, RatingError
from cloud.tariffs.rate_plan import RatePlan, When
from cloud.tariffs.tariff import Tariff
from cloud.tariffs.tiers import period_of, split_by_tier, split_in_order, split_pro_rata
from cloud.tariffs.usage import Usage

Pieces = list[tuple[When, int]]


class Split(NamedTuple):
    """A usage in counts of 10**exponent: by tier, by when, and by both where a price asks for it.

    `carried` is what a quantity_step leaves for the next bill.
    """

    exponent: int
    by_tier: dict[int, int]
    by_when: dict[When, int]
    by_both: dict[tuple[int, When], int]
    carried: int


def split(plan: RatePlan, usage: Usage) -> Split:
    """Split a usage as the prices of a tariff ask; RatingError, IntervalsNeededError."""
    tariff = plan.tariff
    pieces = _pieces(plan, usage)
    step = tariff.quantity_step
    carried_before = Decimal(0) if step is None else usage.carried_before
    numbers = [quantity for _, quantity in pieces]
    numbers += [usage.used_before, carried_before, *([step] if step is not None else [])]
    exponent = min(plan.limit_exponent, *map(decimals_of, numbers))
    counts = [(when, scaled(quantity, exponent)) for when, quantity in pieces]
    carried = 0
    if step is not None:
        whole = sum(quantity for _, quantity in counts) + scaled(carried_before, exponent)
        carried = whole % scaled(step, exponent)
        counts[0] = counts[0][0], counts[0][1] + scaled(carried_before, exponent)
        counts = _without_last(counts, carried)
    return split_counts(
        plan,
        usage,
        counts,
        exponent=exponent,
        used_before=scaled(usage.used_before, exponent),
        carried=carried,
        is_ordered=usage.intervals is not None,
    )


def split_counts(
    plan: RatePlan,
    usage: Usage,
    counts: Pieces,
    *,
    exponent: int,
    used_before: int,
    carried: int = 0,
    is_ordered: bool,
) -> Split:
    """Split counts of 10**exponent with when they were used, by time if they are `is_ordered`."""
    by_when: dict[When, int] = {}
    for when, quantity in counts:
        by_when[when] = by_when.get(when, 0) + quantity
    if not plan.needs_tiers:
        return Split(exponent, {}, by_when, {}, carried)
    premise = usage.premise
    # most households of a run have the same limits
    key = usage.from_on, usage.to_on, usage.held_from, premise.people, premise.households, exponent
    limits = plan.limits.get(key)
    if limits is None:
        limits = plan.limits[key] = limits_of(plan.tariff, usage, exponent)
    if not plan.needs_both:
        parts = split_by_tier(used_before, sum(by_when.values()), limits)
        return Split(exponent, dict(enumerate(parts, start=1)), by_when, {}, carried)
    by_both = _cells(plan.tariff, usage, counts, used_before, limits, is_ordered=is_ordered)
    by_tier: dict[int, int] = {}
    for (tier, _), quantity in by_both.items():
        by_tier[tier] = by_tier.get(tier, 0) + quantity
    return Split(exponent, by_tier, by_when, by_both, carried)


def when_of(plan: RatePlan, start_at: datetime, end_at: datetime) -> When | None:
    """Tell the period and season that hold [start_at, end_at) in UTC; None if it crosses two."""
    tariff = plan.tariff
    season = None
    if plan.needs_seasons:
        season = tariff.season_of(start_at.astimezone(tariff.zone).date())
        last_at = (end_at - timedelta(microseconds=1)).astimezone(tariff.zone)
        if tariff.season_of(last_at.date()) != season:
            return None
    if tariff.time_of_use is None:
        return When(None, season)
    period = period_of(plan.spans_on, tariff.zone, start_at, end_at)
    return None if period is None else When(period, season)


def midnight(tariff: Tariff, day: date) -> datetime:
    """Give the instant in UTC at which a local day begins."""
    return datetime.combine(day, time(), tzinfo=tariff.zone).astimezone(UTC)


def _pieces(plan: RatePlan, usage: Usage) -> list[tuple[When, Decimal]]:
    # in the order of time where intervals say so
    tariff = plan.tariff
    if usage.intervals is not None:
        if not usage.intervals:
            msg = "intervals: empty: allowed is at least one, as a missing interval is not zero"
            raise RatingError(msg)
        pieces = _interval_pieces(plan, usage)
        total = _sum([quantity for _, quantity in pieces])
        for key, said in (("quantity", usage.quantity), ("time_of_use", _sum_of_periods(usage))):
            if said is not None and said != total:
                msg = f"{key}: {said}: the intervals add up to {total}: allowed is that"
                raise RatingError(msg)
        return pieces
    season = single_season(tariff, usage) if plan.needs_seasons else None
    if tariff.time_of_use is None:
        return [(When(None, season), _total(usage))]
    if usage.time_of_use is None:
        codes = ", ".join(period.code for period in tariff.time_of_use.periods)
        msg = f"time_of_use: missing: tariff {tariff.id} needs {codes}, or intervals"
        raise IntervalsNeededError(msg)
    return _period_pieces(tariff, usage, usage.time_of_use, season)


def _period_pieces(
    tariff: Tariff, usage: Usage, time_of_use: dict[str, Decimal], season: str | None
) -> list[tuple[When, Decimal]]:
    codes = [period.code for period in tariff.time_of_use.periods] if tariff.time_of_use else []
    for code in time_of_use:
        if code not in codes:
            msg = f"time_of_use: {code}: allowed are {', '.join(codes)}"
            raise RatingError(msg)
    _total(usage)
    absent = [code for code in codes if code not in time_of_use]
    # A missing register is not zero, unless the total proves it.
    if absent and usage.quantity is None:
        msg = f"time_of_use: {', '.join(absent)}: missing: this period's quantity is required"
        raise RatingError(msg)
    return [(When(code, season), time_of_use[code]) for code in codes if code in time_of_use]


def _total(usage: Usage) -> Decimal:
    # what was used, by a quantity or by period
    quantity, total = usage.quantity, _sum_of_periods(usage)
    if quantity is not None and total not in {None, quantity}:
        msg = f"quantity: {quantity}: time_of_use adds up to {total}: allowed is that"
        raise RatingError(msg)
    found = total if quantity is None else quantity
    if found is None:
        msg = "quantity: missing: one of quantity, time_of_use or intervals is required"
        raise RatingError(msg)
    return found


def _sum_of_periods(usage: Usage) -> Decimal | None:
    return None if usage.time_of_use is None else _sum(list(usage.time_of_use.values()))


def _without_last(counts: Pieces, carried: int) -> Pieces:
    # what a quantity_step leaves for the next bill was used last
    left = sum(quantity for _, quantity in counts) - carried
    kept: Pieces = []
    for when, quantity in counts:
        kept.append((when, min(quantity, left)))
        left -= kept[-1][1]
    return kept


def _interval_pieces(plan: RatePlan, usage: Usage) -> list[tuple[When, Decimal]]:
    tariff = plan.tariff
    first_at, last_at = midnight(tariff, usage.from_on), midnight(tariff, usage.to_on)
    ordered = sorted(
        (interval.start_at.astimezone(UTC), interval.end_at.astimezone(UTC), interval.quantity)
        for interval in usage.intervals or ()
    )
    for start_at, end_at, _ in ordered:
        if end_at <= start_at:
            msg = f"intervals: {_local(tariff, start_at)}: its end is not after its start"
            raise RatingError(msg)
        if start_at < first_at or end_at > last_at:
            msg = (
                f"intervals: {_local(tariff, start_at)}: allowed is from {usage.from_on}"
                f" to {usage.to_on} in {tariff.time_zone}"
            )
            raise RatingError(msg)
    for (_, earlier_end_at, _), (start_at, _, _) in pairwise(ordered):
        if start_at < earlier_end_at:
            msg = f"intervals: {_local(tariff, start_at)}: begins before the one before it ends"
            raise RatingError(msg)
    pieces: list[tuple[When, Decimal]] = []
    for start_at, end_at, quantity in ordered:
        when = when_of(plan, start_at, end_at)
        if when is None:
            msg = (
                f"intervals: {_local(tariff, start_at)}: reaches over the"
                " border of two time-of-use periods or seasons: allowed are intervals inside one"
                f" in {tariff.time_zone}"
            )
            raise RatingError(msg)
        pieces.append((when, quantity))
    return pieces


def _cells(
    tariff: Tariff,
    usage: Usage,
    counts: Pieces,
    start: int,
    limits: Sequence[int],
    *,
    is_ordered: bool,
) -> dict[tuple[int, When], int]:
    if tariff.split_rule is None or (tariff.split_rule == "by-time" and is_ordered):
        return split_in_order(start, counts, limits)
    totals: dict[When, int] = {}
    for when, quantity in counts:
        totals[when] = totals.get(when, 0) + quantity
    if tariff.split_rule == "by-time":
        used = [part for part in split_by_tier(start, sum(totals.values()), limits) if part]
        if len(used) > 1 and sum(1 for total in totals.values() if total) > 1:
            msg = (
                f"intervals: missing: tariff {tariff.id} splits by-time, and a tier ends inside"
                f" {usage.from_on} to {usage.to_on}: totals by period cannot say when"
            )
            raise IntervalsNeededError(msg)
        return split_in_order(start, counts, limits)
    return split_pro_rata(start, totals, limits)


def _sum(quantities: Sequence[Decimal]) -> Decimal:
    exponent = min((decimals_of(quantity) for quantity in quantities), default=0)
    return unscaled(sum(scaled(quantity, exponent) for quantity in quantities), exponent)


def _local(tariff: Tariff, instant: datetime) -> str:
    return instant.astimezone(tariff.zone).isoformat()
