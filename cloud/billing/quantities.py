"""The metered part of a rating: which quantity falls into which tier and time-of-use period."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise

from cloud.billing.money import decimals_of, scaled, unscaled
from cloud.billing.tariff import Tariff, Tiers
from cloud.billing.tiers import (
    Cell,
    billing_months,
    day_spans,
    period_of,
    split_by_tier,
    split_in_order,
    split_pro_rata,
)
from cloud.billing.usage import Usage


class RatingError(ValueError):
    """A usage that this tariff cannot rate."""


class IntervalsNeededError(RatingError):
    """A tier ends inside a time-of-use span under `by-time`, and nobody knows when."""


def metered_cells(tariff: Tariff, usage: Usage) -> tuple[dict[Cell, Decimal], Decimal]:
    """Quantities by (tier, period), ordered as printed, and what a quantity_step carries over."""
    pieces = _pieces(tariff, usage)
    limits = _limits(tariff.tiers, usage) if tariff.tiers else []
    step = tariff.quantity_step
    carried_before = Decimal(0) if step is None else usage.carried_before
    numbers = [*(quantity for _, quantity in pieces), *limits, usage.used_before, carried_before]
    exponent = min(0, *map(decimals_of, [*numbers, *([step] if step is not None else [])]))
    quanta = [(period, scaled(quantity, exponent)) for period, quantity in pieces]
    carried = 0
    if step is not None:
        whole = sum(quantity for _, quantity in quanta) + scaled(carried_before, exponent)
        carried = whole % scaled(step, exponent)
        quanta = [(None, whole - carried)]
    cells = _cells(
        tariff,
        usage,
        quanta,
        start=scaled(usage.used_before, exponent),
        limits=[scaled(limit, exponent) for limit in limits],
    )
    ordered = sorted(cells, key=lambda cell: _cell_order(tariff, cell))
    return {cell: unscaled(cells[cell], exponent) for cell in ordered}, unscaled(carried, exponent)


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


def _pieces(tariff: Tariff, usage: Usage) -> list[tuple[str | None, Decimal]]:
    # (period, quantity) in the order of time where intervals say so.
    if usage.intervals is not None:
        if not usage.intervals:
            msg = "intervals: empty: allowed is at least one, as a missing interval is not zero"
            raise RatingError(msg)
        pieces = _interval_pieces(tariff, usage)
        total = _sum([quantity for _, quantity in pieces])
        if usage.quantity is not None and usage.quantity != total:
            msg = f"quantity: {usage.quantity}: the intervals add up to {total}: allowed is that"
            raise RatingError(msg)
        return pieces
    if tariff.time_of_use is None:
        if usage.quantity is not None:
            return [(None, usage.quantity)]
        if usage.time_of_use is not None:
            return [(None, _sum(list(usage.time_of_use.values())))]
        msg = "quantity: missing: one of quantity, time_of_use or intervals is required"
        raise RatingError(msg)
    if usage.time_of_use is None:
        codes = ", ".join(period.code for period in tariff.time_of_use.periods)
        msg = f"time_of_use: missing: tariff {tariff.id} needs {codes}, or intervals"
        raise IntervalsNeededError(msg)
    return _period_pieces(tariff, usage, usage.time_of_use)


def _period_pieces(
    tariff: Tariff, usage: Usage, time_of_use: dict[str, Decimal]
) -> list[tuple[str | None, Decimal]]:
    codes = [period.code for period in tariff.time_of_use.periods] if tariff.time_of_use else []
    for code in time_of_use:
        if code not in codes:
            msg = f"time_of_use: {code}: allowed are {', '.join(codes)}"
            raise RatingError(msg)
    total = _sum(list(time_of_use.values()))
    if usage.quantity is not None and usage.quantity != total:
        msg = f"quantity: {usage.quantity}: time_of_use adds up to {total}: allowed is that"
        raise RatingError(msg)
    absent = [code for code in codes if code not in time_of_use]
    # A missing register is not zero, unless the total proves it.
    if absent and usage.quantity is None:
        msg = f"time_of_use: {', '.join(absent)}: missing: this period's quantity is required"
        raise RatingError(msg)
    return [(code, time_of_use[code]) for code in codes if code in time_of_use]


def _interval_pieces(tariff: Tariff, usage: Usage) -> list[tuple[str | None, Decimal]]:
    first_at, last_at = _midnight(tariff, usage.from_on), _midnight(tariff, usage.to_on)
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
    if tariff.time_of_use is None:
        return [(None, quantity) for _, _, quantity in ordered]
    zone, spans = tariff.zone, day_spans(tariff.time_of_use)
    pieces: list[tuple[str | None, Decimal]] = []
    for start_at, end_at, quantity in ordered:
        period = period_of(spans, zone, start_at, end_at)
        if period is None:
            msg = (
                f"intervals: {_local(tariff, start_at)}: reaches over the"
                " border of two time-of-use periods: allowed are intervals inside one period"
                f" in {tariff.time_zone}"
            )
            raise RatingError(msg)
        pieces.append((period, quantity))
    return pieces


def _limits(tiers: Tiers, usage: Usage) -> list[Decimal]:
    from_on, to_on = usage.from_on, usage.to_on
    if tiers.period == "month":
        months = months_of(usage)
        factor, allowance_factor = months, months
    else:
        if (to_on.year, to_on.month, to_on.day) > (from_on.year + 1, 1, 1):
            msg = f"to: {to_on}: annual tiers begin anew on 1 January: split the usage there"
            raise RatingError(msg)
        factor, allowance_factor = 1, 12
    extra = Decimal(0)
    allowance = tiers.people_allowance
    people = usage.premise.people
    if allowance is not None and people is not None and people >= allowance.people_from:
        heads = people - allowance.people_from + 1 if allowance.each else 1
        extra = allowance.adds * heads * (allowance_factor if allowance.per == "month" else 1)
    households = usage.premise.households
    if households > 1 and not tiers.per_household:
        msg = (
            f"premise.households: {households}: this tariff's tiers are for one household;"
            " allowed is 1, or a tariff whose tiers say per_household"
        )
        raise RatingError(msg)
    return [(limit * factor + extra) * households for limit in tiers.limits]


def _cells(
    tariff: Tariff,
    usage: Usage,
    quanta: Sequence[tuple[str | None, int]],
    *,
    start: int,
    limits: Sequence[int],
) -> dict[Cell, int]:
    in_order = tariff.split_rule == "by-time" and usage.intervals is not None
    if tariff.split_rule is None or in_order:
        return split_in_order(start, quanta, limits)
    totals: dict[str, int] = {}
    for period, quantity in quanta:
        totals[period or ""] = totals.get(period or "", 0) + quantity
    if tariff.split_rule == "by-time":
        used = [part for part in split_by_tier(start, sum(totals.values()), limits) if part]
        if len(used) > 1 and sum(1 for total in totals.values() if total) > 1:
            msg = (
                f"intervals: missing: tariff {tariff.id} splits by-time, and a tier ends inside"
                f" {usage.from_on} to {usage.to_on}: totals by period cannot say when"
            )
            raise IntervalsNeededError(msg)
        return split_in_order(start, quanta, limits)
    return split_pro_rata(start, totals, limits)


def _cell_order(tariff: Tariff, cell: Cell) -> tuple[int, int]:
    periods = [period.code for period in tariff.time_of_use.periods] if tariff.time_of_use else []
    tier, period = cell
    return tier, periods.index(period) if period else 0


def _sum(quantities: Sequence[Decimal]) -> Decimal:
    exponent = min((decimals_of(quantity) for quantity in quantities), default=0)
    return unscaled(sum(scaled(quantity, exponent) for quantity in quantities), exponent)


def _local(tariff: Tariff, instant: datetime) -> str:
    return instant.astimezone(tariff.zone).isoformat()


def _midnight(tariff: Tariff, day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=tariff.zone).astimezone(UTC)
