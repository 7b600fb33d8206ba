"""Rating: a tariff and a usage become line items, exact to the fen."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from cloud.billing.money import EXACT, decimals_of, divide_half_away, scaled, unscaled
from cloud.billing.quantities import (
    IntervalsNeededError,
    RatingError,
    metered_cells,
    months_of,
)
from cloud.billing.tariff import Component, FixedCharge, Tariff
from cloud.billing.tiers import Cell
from cloud.billing.usage import Usage

__all__ = ["IntervalsNeededError", "LineItem", "Rated", "RatingError", "rate"]

# Never above the invoice: its unit price is cut, not rounded, after ten decimals.
_INVOICE_PRICE_DECIMALS = 10
_FEN_EXPONENT = -2


@dataclass(frozen=True, slots=True)
class LineItem:
    """One printed row: quantity x unit price (yuan per uom) = amount, with its own formula."""

    code: str
    description: str
    description_en: str
    quantity: Decimal
    uom: str
    unit_price: Decimal
    amount_fen: int
    formula: str
    component: str
    tier: int | None = None
    period: str | None = None


@dataclass(frozen=True, slots=True)
class Rated:
    """The line items of one usage; their amounts add up to the total under every rounding rule.

    carried_quantity is what a quantity_step leaves for the next bill.
    """

    tariff_id: str
    tariff_version: str
    line_items: tuple[LineItem, ...]
    total_fen: int
    carried_quantity: Decimal


@dataclass(frozen=True, slots=True)
class _Row:
    """A line item before its amount is rounded; the exact amount is quantity x unit price."""

    code: str
    description: str
    description_en: str
    quantity: Decimal
    uom: str
    unit_price: Decimal
    component: str
    tier: int | None = None
    period: str | None = None


def rate(tariff: Tariff, usage: Usage) -> Rated:
    """Rate one usage; RatingError where the tariff does not fit it, IntervalsNeededError."""
    with localcontext(EXACT):
        _check_span(tariff, usage)
        rows: list[_Row] = []
        carried = Decimal(0)
        if tariff.is_metered:
            metered, carried = _metered_rows(tariff, usage)
            rows.extend(metered)
        rows.extend(_fixed_row(charge, usage) for charge in tariff.fixed_charges)
        amounts_fen = _rounded(rows, tariff.rounding)
        items = tuple(
            _line_item(tariff, row, amount_fen)
            for row, amount_fen in zip(rows, amounts_fen, strict=True)
        )
    return Rated(tariff.id, tariff.version, items, sum(amounts_fen), carried)


def _check_span(tariff: Tariff, usage: Usage) -> None:
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
    for key, value in (
        ("quantity", usage.quantity),
        ("used_before", usage.used_before),
        ("carried_before", usage.carried_before),
        *(("time_of_use", value) for value in (usage.time_of_use or {}).values()),
        *(("intervals", interval.quantity) for interval in usage.intervals or ()),
    ):
        if value is not None and (not value.is_finite() or value < 0):
            msg = f"{key}: {value}: allowed is a finite quantity, 0 or more"
            raise RatingError(msg)


def _metered_rows(tariff: Tariff, usage: Usage) -> tuple[list[_Row], Decimal]:
    cells, carried = metered_cells(tariff, usage)
    rows = [
        _metered_row(tariff, component, cell, quantity, usage)
        for cell, quantity in cells.items()
        for component in tariff.components
    ]
    return rows, carried


def _metered_row(
    tariff: Tariff, component: Component, cell: Cell, quantity: Decimal, usage: Usage
) -> _Row:
    tier, period = cell
    zh, en, code = component.name.zh, component.name.en, component.code
    if tariff.tiers is not None:
        zh, en, code = f"{zh} 第{tier}档", f"{en}, tier {tier}", f"{code}.tier{tier}"
    if tariff.time_of_use is not None and period is not None:
        name = next(each.name for each in tariff.time_of_use.periods if each.code == period)
        zh, en, code = f"{zh} {name.zh}", f"{en}, {name.en}", f"{code}.{period}"
    price = (
        _invoice_price(tariff, usage)
        if tariff.price_source == "invoice"
        else tariff.price(tier, period, component.code)
    )
    return _Row(
        code=code,
        description=zh,
        description_en=en,
        quantity=quantity,
        uom=tariff.uom,
        unit_price=price,
        component=component.code,
        tier=tier if tariff.tiers is not None else None,
        period=period,
    )


def _invoice_price(tariff: Tariff, usage: Usage) -> Decimal:
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
    cut = over * denominator * 10**_INVOICE_PRICE_DECIMALS // (under * numerator)
    return _short(unscaled(cut, -_INVOICE_PRICE_DECIMALS))


def _fixed_row(charge: FixedCharge, usage: Usage) -> _Row:
    times = months_of(usage) if charge.per == "month" else usage.days
    per = {"month": "月", "day": "天"}[charge.per]
    quantity, uom = Decimal(times), per
    if charge.by == "household":
        quantity, uom = Decimal(times * usage.premise.households), f"户·{per}"
    elif charge.by == "area":
        area_m2 = usage.premise.area_m2
        if area_m2 is None or not area_m2.is_finite() or area_m2 <= 0:
            msg = f"premise.area_m2: {area_m2}: {charge.code} is charged by area: allowed above 0"
            raise RatingError(msg)
        exponent = decimals_of(area_m2)
        quantity, uom = unscaled(scaled(area_m2, exponent) * times, exponent), f"m2·{per}"
    return _Row(
        code=f"fixed.{charge.code}",
        description=charge.name.zh,
        description_en=charge.name.en,
        quantity=quantity,
        uom=uom,
        unit_price=charge.price,
        component=charge.code,
    )


def _rounded(rows: Sequence[_Row], rounding: str) -> list[int]:
    # Rows that are rounded together share one rounded sum by largest remainder, first row first.
    groups: dict[object, list[int]] = {}
    for index, row in enumerate(rows):
        key = {"line": index, "component": row.component, "once": None}[rounding]
        groups.setdefault(key, []).append(index)
    amounts_fen = [0] * len(rows)
    for indexes in groups.values():
        products = [_product(rows[index]) for index in indexes]
        exponent = min(_FEN_EXPONENT, *(power for _, power in products))
        unit = 10 ** (_FEN_EXPONENT - exponent)
        exact = [number * 10 ** (power - exponent) for number, power in products]
        shares = [divmod(number, unit) for number in exact]
        left_over = divide_half_away(sum(exact), unit) - sum(fen for fen, _ in shares)
        by_remainder = sorted(range(len(indexes)), key=lambda at: -shares[at][1])
        for place, at in enumerate(by_remainder):
            amounts_fen[indexes[at]] = shares[at][0] + (place < left_over)
    return amounts_fen


def _product(row: _Row) -> tuple[int, int]:
    # The exact amount in yuan as number x 10**power.
    quantity_exponent, price_exponent = decimals_of(row.quantity), decimals_of(row.unit_price)
    number = scaled(row.quantity, quantity_exponent) * scaled(row.unit_price, price_exponent)
    return number, quantity_exponent + price_exponent


def _line_item(tariff: Tariff, row: _Row, amount_fen: int) -> LineItem:
    exact = unscaled(*_product(row))
    amount = unscaled(amount_fen, _FEN_EXPONENT)
    formula = f"{row.quantity:f} {row.uom} × {row.unit_price:f} 元 = {_short(exact):f} 元"
    if exact != amount:
        formula += f" → {amount:f} 元 ({tariff.rounding})"
    return LineItem(
        code=row.code,
        description=row.description,
        description_en=row.description_en,
        quantity=row.quantity,
        uom=row.uom,
        unit_price=row.unit_price,
        amount_fen=amount_fen,
        formula=formula,
        component=row.component,
        tier=row.tier,
        period=row.period,
    )


def _short(value: Decimal) -> Decimal:
    # Without trailing zeros beyond the fen, and without Decimal.normalize, which rounds.
    exponent = decimals_of(value)
    number = scaled(value, exponent)
    while exponent < _FEN_EXPONENT and number % 10 == 0:
        number, exponent = number // 10, exponent + 1
    return unscaled(number, exponent)
