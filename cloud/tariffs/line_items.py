"""Line items: what a bill prints, and before that the same in integers."""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from cloud.money import decimals_of, scaled, unscaled
from cloud.tariffs.parts import Name
from cloud.tariffs.tariff import Cell, Tariff

FEN_EXPONENT = -2


@dataclass(frozen=True, slots=True)
class LineItem:
    """One printed row: quantity x unit price (yuan per uom) = amount, with its own formula.

    `part` is the part of a month that a charge is due for, (1, 1) for all of it.
    """

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
    season: str | None = None
    part: tuple[int, int] = (1, 1)


class Row(NamedTuple):
    """A line item in integers: quantity and price in counts of powers of ten, before rounding."""

    component: str
    name: Name
    quantity: int
    quantity_exponent: int
    price: int
    price_exponent: int
    uom: str
    prefix: str = ""
    cell: Cell = Cell()
    part: tuple[int, int] = (1, 1)


def line_item(tariff: Tariff, row: Row, amount_fen: int) -> LineItem:
    """Give a row its words; `amount_fen` is what rounding made of it."""
    names, code = _names(tariff, row)
    exponent = row.quantity_exponent + row.price_exponent
    exact = unscaled(row.quantity * row.price, exponent)
    amount = unscaled(amount_fen, FEN_EXPONENT)
    quantity = unscaled(row.quantity, row.quantity_exponent)
    price = _price(row.price, row.price_exponent)
    formula = f"{quantity:f} {row.uom} × {price:f} 元"
    if row.part != (1, 1):
        formula += f" × {row.part[0]}/{row.part[1]} = {amount:f} 元"
    else:
        formula += f" = {short(exact):f} 元"
        if exact != amount:
            formula += f" → {amount:f} 元 ({tariff.rounding})"
    return LineItem(
        code=code,
        description=" ".join(name.zh for name in names),
        description_en=", ".join(name.en for name in names),
        quantity=quantity,
        uom=row.uom,
        unit_price=price,
        amount_fen=amount_fen,
        formula=formula,
        component=row.component,
        tier=row.cell.tier,
        period=row.cell.period,
        season=row.cell.season,
        part=row.part,
    )


def short(value: Decimal) -> Decimal:
    """Drop trailing zeros beyond the fen; Decimal.normalize would round."""
    exponent = decimals_of(value)
    number = scaled(value, exponent)
    while exponent < FEN_EXPONENT and number % 10 == 0:
        number, exponent = number // 10, exponent + 1
    return unscaled(number, exponent)


@lru_cache(maxsize=4096)
def _price(price: int, exponent: int) -> Decimal:
    return short(unscaled(price, exponent))


def _names(tariff: Tariff, row: Row) -> tuple[list[Name], str]:
    tier, period, season = row.cell
    names, code = [row.name], f"{row.prefix}{row.component}"
    if tier is not None:
        names.append(Name(zh=f"第{tier}档", en=f"tier {tier}"))
        code += f".tier{tier}"
    if period is not None and tariff.time_of_use is not None:
        names += [each.name for each in tariff.time_of_use.periods if each.code == period]
        code += f".{period}"
    if season is not None:
        names += [each.name for each in tariff.seasons if each.code == season]
        code += f".{season}"
    return names, code
