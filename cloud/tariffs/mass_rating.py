"""Rating many accounts at once in 64-bit integers; what is not proven to fit is rated singly."""

from collections.abc import Callable, Sequence

import numpy as np

from cloud.money import scaled
from cloud.tariffs.errors import RatingError
from cloud.tariffs.mass_amounts import amounts_of
from cloud.tariffs.mass_rated import MassRated, metered_slots, other_slots, with_singly
from cloud.tariffs.mass_rounding import MOST
from cloud.tariffs.mass_split import layout_of, split_many
from cloud.tariffs.mass_terms import (
    exponent_of,
    is_small,
    limits_by_account,
    most_counted,
    scale_of,
    terms_of,
)
from cloud.tariffs.mass_usage import Mask, MassUsage, gathered
from cloud.tariffs.rate_plan import Layout, RatePlan
from cloud.tariffs.rating import Rated, rate_by
from cloud.tariffs.usage import Usage

_BLOCK = 1024


def rate_many(plan: RatePlan, usage: MassUsage) -> MassRated:
    """Rate all accounts of a usage, each as `rate_by` would: its errors are kept, none is raised.

    ValueError where there are more or fewer intervals than the span has.
    """
    return _rated(plan, usage, lambda account: usage.usage(plan.tariff, account))


def rate_usages(plan: RatePlan, usages: Sequence[Usage]) -> list[Rated | RatingError]:
    """Rate usages of any spans and forms; each result or error is that of `rate_by`."""
    found: dict[int, Rated | RatingError] = {}
    groups, others = gathered(usages, has_step=plan.tariff.quantity_step is not None)
    for group, places in groups:
        rated = _rated(plan, group, _picked(usages, places))
        found.update(zip(places, rated, strict=True))
    for place in others:
        found[place] = _singly(plan, usages[place])
    return [found[place] for place in range(len(usages))]


def _picked(usages: Sequence[Usage], places: Sequence[int]) -> Callable[[int], Usage]:
    return lambda account: usages[places[account]]


def _singly(plan: RatePlan, usage: Usage) -> Rated | RatingError:
    try:
        return rate_by(plan, usage)
    except RatingError as error:
        return error


def _rated(plan: RatePlan, usage: MassUsage, usage_of: Callable[[int], Usage]) -> MassRated:
    tariff, exponent = plan.tariff, exponent_of(plan, usage)
    layout, unsplit = _layout(plan, usage)
    terms = [
        terms_of(plan, usage, facts, exponent=exponent, unsplit=unsplit) for facts in usage.facts
    ]
    scale = scale_of(plan, terms, exponent)
    whens = () if layout is None else layout.whens
    slots = (*metered_slots(plan, whens, exponent), *other_slots(tariff))
    of = np.zeros(usage.accounts, np.int64) if usage.facts_of is None else usage.facts_of
    finer = min(10 ** (usage.exponent - exponent), MOST)
    is_fit = np.array([is_small(plan, usage, each, scale) for each in terms], np.bool_)
    sound = is_fit[of] & _within(usage, most_counted(plan, terms, scale) // finer)
    if layout is None and unsplit is None and plan.components:
        sound[:] = False
    split, alone = None, ~sound
    if layout is not None:
        step = tariff.quantity_step
        split = split_many(
            plan,
            usage,
            layout,
            limits=limits_by_account(plan, terms, usage.facts_of),
            step=None if step is None else min(scaled(step, exponent), MOST),
            finer=finer,
            sound=sound,
        )
        alone |= split.unknown
    arrays, is_over = amounts_of(plan, usage, slots, terms, scale, split=split, of=of, fit=is_fit)
    alone |= is_over
    odd: dict[int, Rated | RatingError] = {
        at: _singly(plan, usage_of(at)) for at in np.flatnonzero(alone).tolist()
    }
    is_wrong = np.array([each.error is not None for each in terms], np.bool_)[of] & ~alone
    for at in np.flatnonzero(is_wrong).tolist():
        error = terms[of[at]].error
        if error is not None:
            odd[at] = type(error)(str(error))
    return MassRated(
        tariff=tariff,
        exponent=exponent,
        slots=slots,
        arrays=with_singly(arrays, slots, exponent, odd),
        facts_of=of,
        fixed=tuple(each.fixed for each in terms),
        invoice_prices=tuple(each.price for each in terms),
        odd=odd,
    )


def _layout(plan: RatePlan, usage: MassUsage) -> tuple[Layout | None, RatingError | None]:
    if usage.intervals is not None and usage.from_on < usage.to_on:
        wanted, given = usage.intervals_in(plan.tariff), usage.intervals.shape[1]
        if given != wanted:
            msg = f"intervals: {given}: allowed are the {wanted} of the span; a gap is not 0"
            raise ValueError(msg)
    if not plan.components or usage.to_on <= usage.from_on:
        return None, None
    try:
        return layout_of(plan, usage), None
    except RatingError as error:
        return None, error


def _within(usage: MassUsage, most: int) -> Mask:
    # the accounts whose counts are all 0 or more, and whose sum is at most `most`
    sound = np.ones(usage.accounts, np.bool_)
    total = np.zeros(usage.accounts, np.int64)
    for key, counts in usage.columns().items():
        sound &= (counts >= 0) & (counts <= most)
        if key != "used_before":
            total += np.where(sound, counts, 0)
            sound &= total <= most
    intervals = usage.intervals
    if intervals is None:
        return sound
    for first in range(0, usage.accounts, _BLOCK):
        at = slice(first, first + _BLOCK)
        some = intervals[at]
        left, width = most - int(total[at].max()), some.shape[1]
        if some.min() >= 0 and int(some.max()) * width <= left:
            continue
        bits = np.bitwise_or.reduce(some.astype(np.int64), axis=1)
        sound[at] &= (bits >= 0) & (bits <= MOST // width)
        total[at] += np.where(sound[at], some.sum(axis=1, dtype=np.int64), 0)
        sound[at] &= total[at] <= most
    return sound
