"""The amounts of many accounts: metered rows, fixed charges, a least and a most, taxes."""

from collections.abc import Callable, Sequence
from itertools import compress

import numpy as np

from cloud.money import scaled
from cloud.tariffs.allowances import months_of
from cloud.tariffs.errors import RatingError
from cloud.tariffs.line_items import FEN_EXPONENT, Row
from cloud.tariffs.mass_rated import Arrays, Kind, Slot
from cloud.tariffs.mass_rounding import MOST, half_away, share_fen
from cloud.tariffs.mass_split import MassSplit
from cloud.tariffs.mass_terms import Scale, Terms
from cloud.tariffs.mass_usage import Counts, Facts, Mask, MassUsage
from cloud.tariffs.rate_plan import RatePlan
from cloud.tariffs.rating import rounded


def amounts_of(
    plan: RatePlan,
    usage: MassUsage,
    slots: Sequence[Slot],
    terms: Sequence[Terms],
    scale: Scale,
    *,
    split: MassSplit | None,
    of: Counts,
    fit: Mask,
) -> tuple[Arrays, Mask]:
    """Give the rows of all accounts, and which of them have taxes that are not proven to fit.

    of: (accounts,) indexes into terms, whose fixed charges are left out where they do not fit.
    """
    shape = len(slots), usage.accounts
    made = Arrays(
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.bool_),
        np.zeros(usage.accounts, np.int64),
        np.zeros(usage.accounts, np.int64) if split is None else split.carried,
    )
    metered = _places(slots, Kind.METERED)
    exact = np.zeros((len(metered), usage.accounts), np.int64)
    for place in metered:
        quantity = _quantity(slots[place], split, usage.accounts)
        made.quantities[place] = quantity
        made.is_present[place] = quantity != 0
        exact[place] = quantity * _price(plan, slots[place], terms, of, scale)
    for place in _places(slots, Kind.FIXED):
        code = slots[place].row.component
        rows = [
            each.fixed.get(code) if fits else None for each, fits in zip(terms, fit, strict=True)
        ]
        made.quantities[place] = _by_terms(rows, of, lambda row: row.quantity)
        made.is_present[place] = _by_terms(rows, of, lambda _: 1)
        if plan.tariff.rounding == "once":
            exact = np.vstack([exact, _by_terms(rows, of, scale.exact)[None]])
        else:
            made.amounts_fen[place] = _by_terms(rows, of, lambda row: rounded([row], "line")[0])
    _round(plan.tariff.rounding, slots, exact, scale, made.amounts_fen)
    np.sum(made.amounts_fen, axis=0, out=made.totals_fen)
    _bound(plan, usage, slots, made)
    return made, _tax(plan, slots, made)


def _places(slots: Sequence[Slot], kind: Kind) -> list[int]:
    return [place for place, slot in enumerate(slots) if slot.kind is kind]


def _quantity(slot: Slot, split: MassSplit | None, accounts: int) -> Counts:
    if split is None:
        return np.zeros(accounts, np.int64)
    tier, period, season = slot.row.cell
    whens = list(slot.whens)
    if tier is not None and period is None and season is None:
        tiers: Counts = split.by_tier[tier - 1]
        return tiers
    both: Counts = split.by_when if tier is None else split.by_both[tier - 1]
    quantity: Counts = both[whens].sum(axis=0)
    return quantity


def _price(
    plan: RatePlan, slot: Slot, terms: Sequence[Terms], of: Counts, scale: Scale
) -> Counts | int:
    # where a price does not fit, all quantities have been put aside and are 0
    if plan.tariff.price_source == "invoice":
        prices = [min(each.price * scale.power, MOST) for each in terms]
        return np.array(prices, np.int64)[of]
    return max(-MOST, min(slot.row.price * scale.power, MOST))


def _by_terms(rows: Sequence[Row | None], of: Counts, number: Callable[[Row], int]) -> Counts:
    return np.array([0 if row is None else number(row) for row in rows], np.int64)[of]


def _round(
    rounding: str, slots: Sequence[Slot], exact: Counts, scale: Scale, amounts_fen: Counts
) -> None:
    # rows of exact amounts are the first of the slots
    if rounding == "line":
        amounts_fen[: len(exact)] = half_away(exact, scale.unit)
        return
    codes = [slot.row.component if rounding == "component" else "" for slot in slots[: len(exact)]]
    for code in dict.fromkeys(codes):
        places = [place for place, each in enumerate(codes) if each == code]
        amounts_fen[places] = share_fen(exact[places], scale.unit)


def _bound(plan: RatePlan, usage: MassUsage, slots: Sequence[Slot], made: Arrays) -> None:
    tariff = plan.tariff
    if tariff.minimum_charge is None and tariff.maximum_charge is None:
        return
    try:
        months = months_of(usage.template(Facts()))
    except RatingError:
        # the terms of every account say so
        return
    bounds = ((tariff.minimum_charge, 1), (tariff.maximum_charge, -1))
    places = iter(_places(slots, Kind.BOUND))
    missing_fen = np.zeros(usage.accounts, np.int64)
    for bound, sign in bounds:
        if bound is None:
            continue
        place = next(places)
        lacking = scaled(bound.amount, FEN_EXPONENT) * months - made.totals_fen
        is_due = (sign * lacking > 0) & (missing_fen == 0)
        made.is_present[place] = made.quantities[place] = is_due
        made.amounts_fen[place] = np.where(is_due, lacking, 0)
        missing_fen += made.amounts_fen[place]
    made.totals_fen[:] += missing_fen


def _tax(plan: RatePlan, slots: Sequence[Slot], made: Arrays) -> Mask:
    taxes = plan.tariff.taxes
    is_over = np.zeros(len(made.totals_fen), np.bool_)
    untaxed = len(slots) - len(taxes)
    for place, tax in enumerate(taxes, untaxed):
        taxed = [tax.of is None or slot.row.component in tax.of for slot in slots[:untaxed]]
        base_fen = made.amounts_fen[list(compress(range(untaxed), taxed))].sum(axis=0)
        percent, exponent = slots[place].row.price, slots[place].row.price_exponent
        is_over |= np.abs(base_fen) > 2 * MOST // (max(percent, 1) * (1 + len(taxes)))
        base_fen[is_over] = 0
        made.quantities[place] = base_fen
        made.is_present[place] = base_fen != 0
        made.amounts_fen[place] = half_away(base_fen * min(percent, MOST), 10 ** min(-exponent, 18))
        made.totals_fen[:] += made.amounts_fen[place]
    return is_over
