"""The metered part of rating many accounts: tiers, periods and seasons of all of them at once.

Arrays end in the accounts, (..., accounts); all counts are proven to stay below 2**62.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from cloud.tariffs.allowances import single_season
from cloud.tariffs.mass_rounding import largest_first
from cloud.tariffs.mass_usage import Counts, Facts, Mask, MassUsage
from cloud.tariffs.quantities import midnight, when_of
from cloud.tariffs.rate_plan import Layout, RatePlan, When

# so many accounts at once that their sums stay in the processor's cache
_BLOCK = 1024


class MassSplit(NamedTuple):
    """Counts by tier, by when, and by both: (tiers, whens, accounts).

    by_both and by_tier are empty where no price asks for them; carried is what a step leaves for
    the next bill. `unknown` are the accounts whose tier ends inside the span under `by-time` while
    nobody knows when.
    """

    whens: tuple[When, ...]
    by_tier: Counts
    by_when: Counts
    by_both: Counts
    carried: Counts
    unknown: Mask


def layout_of(plan: RatePlan, usage: MassUsage) -> Layout | None:
    """Lay out what was used by when; None where `rate_by` must say what is wrong; RatingError."""
    tariff, clock = plan.tariff, plan.tariff.time_of_use
    if usage.intervals is not None:
        return _interval_layout(plan, usage)
    if usage.quantity is None and not usage.time_of_use:
        return None
    season = single_season(tariff, usage.template(Facts())) if plan.needs_seasons else None
    if clock is None:
        return Layout((When(None, season),), (0,), ())
    codes = tuple(period.code for period in clock.periods)
    if usage.time_of_use is None or usage.time_of_use.keys() != set(codes):
        return None
    whens = tuple(When(code, season) for code in codes)
    return Layout(whens, tuple(range(len(codes))), ())


def split_many(
    plan: RatePlan,
    usage: MassUsage,
    layout: Layout,
    *,
    limits: Counts,
    step: int | None,
    finer: int,
    sound: Mask,
) -> MassSplit:
    """Split the use of all accounts that are `sound`.

    limits: (limits, accounts or 1), step: in counts of which a count of the usage has `finer`.
    """
    accounts, tiers, whens = usage.accounts, len(limits) + 1, len(layout.whens)
    shape = (tiers, whens) if plan.needs_both else (0, 0)
    found = MassSplit(
        layout.whens,
        np.zeros((tiers if plan.needs_tiers else 0, accounts), np.int64),
        np.zeros((whens, accounts), np.int64),
        np.zeros((*shape, accounts), np.int64),
        np.zeros(accounts, np.int64),
        np.zeros(accounts, np.bool_),
    )
    for first in range(0, accounts, _BLOCK):
        at = slice(first, min(first + _BLOCK, accounts))
        ends = _ends(usage, layout, at) * finer
        ends[:, ~sound[at]] = 0
        if step is not None:
            if usage.carried_before is not None:
                ends += np.where(sound[at], usage.carried_before[at], 0) * finer
            found.carried[at] = ends[-1] % step
            # what a step leaves for the next bill was used last
            np.minimum(ends, ends[-1] - found.carried[at], out=ends)
        start = np.zeros(at.stop - at.start, np.int64)
        if usage.used_before is not None:
            start += np.where(sound[at], usage.used_before[at], 0) * finer
        ours = limits if limits.shape[1] == 1 else limits[:, at]
        _split_block(plan, usage, layout, found, at, start=start, ends=ends, limits=ours)
    return found


def _interval_layout(plan: RatePlan, usage: MassUsage) -> Layout | None:
    tariff = plan.tariff
    key = usage.from_on, usage.to_on, usage.interval_s
    kept = plan.layouts.get(key)
    if kept is not None:
        return kept
    start_at, length = midnight(tariff, usage.from_on), timedelta(seconds=usage.interval_s)
    whens: dict[When, int] = {}
    of: list[int] = []
    ends: list[int] = []
    for place in range(usage.intervals_in(tariff)):
        at: datetime = (start_at + length * place).astimezone(UTC)
        when = when_of(plan, at, at + length)
        if when is None:
            return None
        number = whens.setdefault(when, len(whens))
        if of and of[-1] == number:
            ends[-1] = place + 1
        else:
            of.append(number)
            ends.append(place + 1)
    layout = Layout(tuple(whens), tuple(of), tuple(ends))
    plan.layouts[key] = layout
    return layout


def _ends(usage: MassUsage, layout: Layout, at: slice) -> Counts:
    # what was used up to the end of each piece, (pieces, accounts)
    if usage.intervals is not None:
        counts = usage.intervals[at].astype(np.int64, copy=False)
        return np.ascontiguousarray(np.cumsum(counts, axis=1)[:, np.array(layout.ends) - 1].T)
    if usage.quantity is not None:
        return usage.quantity[None, at].astype(np.int64)
    by_period = usage.time_of_use or {}
    codes = [when.period for when in layout.whens if when.period is not None]
    pieces = np.array([by_period[code][at] for code in codes or by_period], np.int64)
    # a tariff without periods asks only for their sum
    ends: Counts = np.cumsum(pieces, axis=0) if codes else pieces.sum(axis=0, keepdims=True)
    return ends


def _split_block(
    plan: RatePlan,
    usage: MassUsage,
    layout: Layout,
    found: MassSplit,
    at: slice,
    *,
    start: Counts,
    ends: Counts,
    limits: Counts,
) -> None:
    before = np.zeros_like(start)
    by_when = found.by_when[:, at]
    for piece, when in enumerate(layout.of):
        by_when[when] += ends[piece] - before
        before = ends[piece]
    if plan.needs_tiers:
        found.by_tier[:, at] = by_tier = _by_tier(start, ends[-1], limits)
    if not plan.needs_both:
        return
    rule = plan.tariff.split_rule
    if rule == "pro-rata":
        found.by_both[:, :, at] = _pro_rata(by_tier, by_when)
        return
    found.by_both[:, :, at] = _by_time(start, ends, layout, limits)
    if rule == "by-time" and usage.intervals is None:
        is_split = np.count_nonzero(by_tier, axis=0) > 1
        found.unknown[at] = is_split & (np.count_nonzero(by_when, axis=0) > 1)


def _by_tier(start: Counts, used: Counts, limits: Counts) -> Counts:
    below = np.minimum(start + used, limits) - np.minimum(start, limits)
    tiers: Counts = np.diff(below, axis=0, prepend=0, append=used[None])
    return tiers


def _by_time(start: Counts, ends: Counts, layout: Layout, limits: Counts) -> Counts:
    # what lies below each limit, and last of all everything; tiers are the differences
    found = np.zeros((len(limits) + 1, len(layout.whens), len(start)), np.int64)
    below = np.minimum(start, limits)
    before = np.zeros_like(start)
    for piece, when in enumerate(layout.of):
        below_now = np.minimum(start + ends[piece], limits)
        found[:-1, when] += below_now - below
        found[-1, when] += ends[piece] - before
        below, before = below_now, ends[piece]
    found[1:] -= found[:-1].copy()
    return found


def _pro_rata(by_tier: Counts, by_when: Counts) -> Counts:
    # the same mix in every tier; fractions of a quantum go to the largest remainder
    found = np.zeros((len(by_tier), *by_when.shape), np.int64)
    left = by_when.copy()
    for tier, quantity in enumerate(by_tier):
        whole = np.maximum(left.sum(axis=0), 1)
        shares, rests = np.divmod(quantity * left, whole)
        shares += largest_first(rests) < quantity - shares.sum(axis=0)
        left -= shares
        found[tier] = shares
    return found
