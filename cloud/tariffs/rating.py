"""Rating: a tariff and a usage become line items, exact to the fen, in integers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import lcm

from cloud.money import divide_half_away, unscaled
from cloud.tariffs.charges import bound_row, fixed_rows, taxes_of
from cloud.tariffs.errors import IntervalsNeededError, RatingError
from cloud.tariffs.line_items import FEN_EXPONENT, LineItem, Row, line_item
from cloud.tariffs.quantities import Split, split
from cloud.tariffs.rate_plan import Priced, RatePlan
from cloud.tariffs.tariff import Cell, Tariff
from cloud.tariffs.usage import Usage

__all__ = ["IntervalsNeededError", "LineItem", "Rated", "RatingError", "rate", "rate_by"]

# Never above the invoice: its unit price is cut, not rounded, after ten decimals.
INVOICE_PRICE_EXPONENT = -10


@dataclass(frozen=True)
class Rated:
    """A rated usage: rows in integers with their fen, which add up under every rounding rule.

    carried_quantity is what a quantity_step leaves for the next bill.
    """

    tariff: Tariff
    rows: tuple[Row, ...]
    amounts_fen: tuple[int, ...]
    total_fen: int
    carried_quantity: Decimal

    @cached_property
    def line_items(self) -> tuple[LineItem, ...]:
        """Give the rows their words."""
        pairs = zip(self.rows, self.amounts_fen, strict=True)
        return tuple(line_item(self.tariff, row, amount_fen) for row, amount_fen in pairs)


def rate(tariff: Tariff, usage: Usage) -> Rated:
    """Rate one usage; RatingError where the tariff does not fit it, IntervalsNeededError."""
    return rate_by(RatePlan(tariff), usage)


def rate_by(plan: RatePlan, usage: Usage) -> Rated:
    """Rate one of many usages; see `rate`."""
    tariff = plan.tariff
    check(tariff, usage)
    rows: list[Row] = []
    carried = Decimal(0)
    if plan.components:
        found = split(plan, usage)
        carried = unscaled(found.carried, found.exponent)
        rows = _metered_rows(plan, usage, found)
    if tariff.fixed_charges:
        rows += fixed_rows(tariff, usage)
    amounts_fen = rounded(rows, tariff.rounding)
    if tariff.minimum_charge is not None or tariff.maximum_charge is not None:
        bound = bound_row(tariff, usage, sum(amounts_fen))
        if bound is not None:
            rows.append(bound[0])
            amounts_fen.append(bound[1])
    for row, amount_fen in taxes_of(tariff, rows, amounts_fen) if tariff.taxes else ():
        rows.append(row)
        amounts_fen.append(amount_fen)
    return Rated(tariff, tuple(rows), tuple(amounts_fen), sum(amounts_fen), carried)


def rounded(rows: Sequence[Row], rounding: str) -> list[int]:
    """Return the fen of rows: those rounded together share one sum by largest remainder."""
    if rounding == "line":
        return [_to_fen(row) for row in rows]
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.component if rounding == "component" else "", []).append(index)
    amounts_fen = [0] * len(rows)
    for indexes in groups.values():
        exact, unit = _exact_fen([rows[index] for index in indexes])
        shares = [divmod(number, unit) for number in exact]
        left_over = divide_half_away(sum(exact), unit) - sum(fen for fen, _ in shares)
        by_remainder = sorted(range(len(indexes)), key=lambda at: -shares[at][1])
        for place, at in enumerate(by_remainder):
            amounts_fen[indexes[at]] = shares[at][0] + (place < left_over)
    return amounts_fen


def check(tariff: Tariff, usage: Usage) -> None:
    """Refuse a span outside the tariff and quantities below 0; RatingError."""
    from_on, to_on = usage.from_on, usage.to_on
    if to_on <= from_on:
        msg = f"to: {to_on}: allowed is a day after from ({from_on})"
        raise RatingError(msg)
    if not tariff.in_force_on(from_on):
        msg = (
            f"from: {from_on}: tariff {tariff.id} version {tariff.version} is in force from"
            f" {tariff.effective_from} to {tariff.effective_to or 'now'}"
        )
        raise RatingError(msg)
    if tariff.effective_to is not None and to_on > tariff.effective_to:
        msg = (
            f"to: {to_on}: tariff {tariff.id} version {tariff.version} ends on"
            f" {tariff.effective_to}: split the usage there"
        )
        raise RatingError(msg)
    if usage.held_from is not None and usage.held_from >= to_on:
        msg = f"held_from: {usage.held_from}: allowed is a day before {to_on}, the end of the usage"
        raise RatingError(msg)
    for key, value in _quantities(usage):
        if value is not None and (not value.is_finite() or value < 0):
            msg = f"{key}: {value}: allowed is a finite quantity, 0 or more"
            raise RatingError(msg)


def invoice_price(tariff: Tariff, usage: Usage) -> int:
    """Give the supplier's unit price in counts of 10**INVOICE_PRICE_EXPONENT; RatingError."""
    invoice = usage.invoice
    if invoice is None:
        msg = (
            f"invoice: missing: tariff {tariff.id} takes its unit price from the supplier's"
            " invoice: its amount and quantity are required"
        )
        raise RatingError(msg)
    if not (invoice.quantity.is_finite() and invoice.amount.is_finite()) or (
        invoice.quantity <= 0 or invoice.amount < 0
    ):
        msg = f"invoice: {invoice.amount} for {invoice.quantity}: allowed is 0 or more, for above 0"
        raise RatingError(msg)
    over, under = invoice.amount.as_integer_ratio()
    numerator, denominator = invoice.quantity.as_integer_ratio()
    power: int = 10**-INVOICE_PRICE_EXPONENT
    return over * denominator * power // (under * numerator)


def _quantities(usage: Usage) -> Iterator[tuple[str, Decimal | None]]:
    yield "quantity", usage.quantity
    yield "used_before", usage.used_before
    yield "carried_before", usage.carried_before
    for value in (usage.time_of_use or {}).values():
        yield "time_of_use", value
    for interval in usage.intervals or ():
        yield "intervals", interval.quantity


def _metered_rows(plan: RatePlan, usage: Usage, found: Split) -> list[Row]:
    tariff = plan.tariff
    if tariff.price_source == "invoice":
        price, exponent = invoice_price(tariff, usage), INVOICE_PRICE_EXPONENT
        (only,) = plan.components
        quantity = sum(found.by_when.values())
        row = Row(
            only.component.code,
            only.component.name,
            quantity,
            found.exponent,
            price,
            exponent,
            tariff.uom,
        )
        return [row] if quantity else []
    placed = [
        (cell, place, priced, quantity)
        for place, priced in enumerate(plan.components)
        for cell, quantity in _cells(priced, found).items()
        if quantity
    ]
    if len(placed) > 1:
        periods, seasons = plan.period_order, plan.season_order
        placed.sort(
            key=lambda each: (
                each[0].tier or 0,
                seasons.get(each[0].season or "", 0),
                periods.get(each[0].period or "", 0),
                each[1],
            )
        )
    return [
        Row(
            priced.component.code,
            priced.component.name,
            quantity,
            found.exponent,
            priced.prices[cell],
            plan.price_exponent,
            tariff.uom,
            "",
            cell,
        )
        for cell, _, priced, quantity in placed
    ]


def _cells(priced: Priced, found: Split) -> dict[Cell, int]:
    # the quantities of one component, by what its price depends on
    if priced.of_tier and not priced.of_both:
        return {Cell(tier): quantity for tier, quantity in found.by_tier.items()}
    both = (
        found.by_both.items()
        if priced.of_both
        else (((None, when), quantity) for when, quantity in found.by_when.items())
    )
    cells: dict[Cell, int] = {}
    for (tier, when), quantity in both:
        period = when.period if priced.of_period else None
        cell = Cell(tier, period, when.season if priced.of_season else None)
        cells[cell] = cells.get(cell, 0) + quantity
    return cells


def _to_fen(row: Row) -> int:
    # half away from zero; counts of 10**exponent yuan, by far the most often below the fen
    exponent = row.quantity_exponent + row.price_exponent - FEN_EXPONENT
    numerator: int = row.quantity * row.price * row.part[0]
    denominator = row.part[1]
    power: int = 10 ** abs(exponent)
    if exponent < 0:
        return divide_half_away(numerator, denominator * power)
    return divide_half_away(numerator * power, denominator)


def _exact_fen(rows: Sequence[Row]) -> tuple[list[int], int]:
    # the exact amounts of rows, and how many of their unit are a fen
    exponent = min(FEN_EXPONENT, *(row.quantity_exponent + row.price_exponent for row in rows))
    parts = lcm(*(row.part[1] for row in rows))
    power: int = 10 ** (FEN_EXPONENT - exponent)
    exact = [
        row.quantity
        * row.price
        * 10 ** (row.quantity_exponent + row.price_exponent - exponent)
        * row.part[0]
        * (parts // row.part[1])
        for row in rows
    ]
    return exact, power * parts
