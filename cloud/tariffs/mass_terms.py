"""What a tariff makes of the facts of accounts: limits, fixed charges, the invoice's price."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import lcm

import numpy as np

from cloud.money import decimals_of, scaled
from cloud.tariffs.allowances import limits_of, months_of
from cloud.tariffs.charges import fixed_rows, tax_price
from cloud.tariffs.errors import RatingError
from cloud.tariffs.line_items import FEN_EXPONENT, Row
from cloud.tariffs.mass_rounding import MOST
from cloud.tariffs.mass_usage import Counts, Facts, MassUsage
from cloud.tariffs.rate_plan import RatePlan
from cloud.tariffs.rating import INVOICE_PRICE_EXPONENT, check, invoice_price, rounded


@dataclass(frozen=True)
class Terms:
    """The terms of accounts with the same facts; fixed are the rows of charges that are due."""

    limits: tuple[int, ...] = ()
    price: int = 0
    fixed: Mapping[str, Row] = field(default_factory=dict)
    error: RatingError | None = None


@dataclass(frozen=True)
class Scale:
    """Where the exact amounts of metered rows stand: count x price x power, unit of them a fen."""

    power: int
    unit: int
    exponent: int
    parts: int

    def exact(self, row: Row) -> int:
        """Give the exact amount of another row in the same counts."""
        exponent: int = row.quantity_exponent + row.price_exponent - self.exponent
        whole: int = row.quantity * row.price * 10**exponent
        return whole * row.part[0] * (self.parts // row.part[1])


def terms_of(
    plan: RatePlan, usage: MassUsage, facts: Facts, *, exponent: int, unsplit: RatingError | None
) -> Terms:
    """Give the terms of facts, with the first error that `rate_by` finds in them.

    `unsplit` is what is wrong with the span of all accounts, counts are of 10**exponent.
    """
    tariff, template = plan.tariff, usage.template(facts)
    limits: tuple[int, ...] = ()
    try:
        check(tariff, template)
        if plan.components and unsplit is not None:
            raise unsplit
        if plan.needs_tiers:
            found = limits_of(tariff, template, exponent)
            limits = tuple(min(limit, 2 * MOST) for limit in found)
        price = invoice_price(tariff, template) if tariff.price_source == "invoice" else 0
        rows = {row.component: row for row in fixed_rows(tariff, template)}
        if tariff.minimum_charge or tariff.maximum_charge:
            months_of(template)
    except RatingError as error:
        # by the limits an account may have an error that comes before this one
        return Terms(limits, error=error)
    return Terms(limits, price, rows)


def exponent_of(plan: RatePlan, usage: MassUsage) -> int:
    """Give the exponent in which `rate_by` would count the usage."""
    step = plan.tariff.quantity_step
    return min(plan.limit_exponent, usage.exponent, 0 if step is None else decimals_of(step))


def scale_of(plan: RatePlan, terms: list[Terms], exponent: int) -> Scale:
    """Choose in what metered rows are counted; with fixed rows too where all are rounded once."""
    invoiced = plan.tariff.price_source == "invoice"
    price_exponent = INVOICE_PRICE_EXPONENT if invoiced else plan.price_exponent
    own = exponent + price_exponent if plan.components else FEN_EXPONENT
    rows = [row for each in terms for row in each.fixed.values()]
    once = rows if plan.tariff.rounding == "once" else []
    least = min([FEN_EXPONENT, own, *(row.quantity_exponent + row.price_exponent for row in once)])
    parts = lcm(*(row.part[1] for row in once))
    power: int = 10 ** (own - least) * parts
    unit: int = 10 ** (FEN_EXPONENT - least) * parts
    return Scale(power, unit, least, parts)


def is_small(plan: RatePlan, usage: MassUsage, terms: Terms, scale: Scale) -> bool:
    """Tell whether all that does not depend on quantities is proven to fit."""
    rows = terms.fixed.values()
    sums = [
        sum(abs(row.quantity) for row in rows),
        sum(map(abs, rounded(list(rows), "line"))),
        scale.unit,
        terms.price,
    ]
    if plan.tariff.rounding == "once":
        sums.append(sum(abs(scale.exact(row)) for row in rows))
    months = (usage.to_on - usage.from_on).days + 2
    bounds = (plan.tariff.minimum_charge, plan.tariff.maximum_charge)
    sums += [scaled(bound.amount, FEN_EXPONENT) * months for bound in bounds if bound]
    taxes = [tax_price(tax) for tax in plan.tariff.taxes]
    sums += [10**-exponent for _, exponent in taxes]
    return max(sums) <= MOST and all(exponent <= 0 for _, exponent in taxes)


def most_counted(plan: RatePlan, terms: list[Terms], scale: Scale) -> int:
    """Give the largest count of an account whose amounts are proven to fit."""
    prices = [abs(price) for each in plan.components for price in each.prices.values()]
    prices += [each.price for each in terms if abs(each.price) <= MOST]
    dearest = max([1, *prices]) * scale.power * max(1, len(plan.components))
    most = MOST // dearest
    # a share pro rata is a product of two counts
    return min(most, 2**30) if plan.tariff.split_rule == "pro-rata" else most


def limits_by_account(plan: RatePlan, terms: list[Terms], of: Counts | None) -> Counts:
    """Give the limits, (limits, accounts), or (limits, 1) where all accounts have the same."""
    tiers = plan.tariff.tiers
    count = 0 if tiers is None else tiers.count - 1
    table = np.zeros((count, len(terms)), np.int64)
    for place, each in enumerate(terms):
        table[: len(each.limits), place] = each.limits
    return table[:, :1] if of is None or len(terms) == 1 else table[:, of]
