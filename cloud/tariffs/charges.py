"""What a tariff charges beside the quantity: fixed charges, a least and a most, taxes."""

from collections.abc import Sequence
from decimal import Decimal

from cloud.money import decimals_of, divide_half_away, scaled
from cloud.tariffs.allowances import months_of, part_of_month, single_season
from cloud.tariffs.errors import RatingError
from cloud.tariffs.line_items import FEN_EXPONENT, Row
from cloud.tariffs.parts import Bound, Tax
from cloud.tariffs.tariff import FixedCharge, Tariff
from cloud.tariffs.usage import Usage

PER = {"day": "天", "month": "月", "season": "季", "year": "年"}
_PERCENT_EXPONENT = -2


def fixed_rows(tariff: Tariff, usage: Usage) -> list[Row]:
    """Return the fixed charges of a usage; RatingError where a premise lacks a fact."""
    return [
        _fixed(tariff, charge, usage)
        for charge in tariff.fixed_charges
        if charge.season is None or charge.season == single_season(tariff, usage)
    ]


def bound_row(tariff: Tariff, usage: Usage, sum_fen: int) -> tuple[Row, int] | None:
    """Return the line that lifts a bill to its least or cuts it to its most, and its fen."""
    months = months_of(usage) if tariff.minimum_charge or tariff.maximum_charge else 0
    for bound, is_least in ((tariff.minimum_charge, True), (tariff.maximum_charge, False)):
        if bound is None:
            continue
        missing_fen = scaled(bound.amount, FEN_EXPONENT) * months - sum_fen
        if (missing_fen > 0) if is_least else (missing_fen < 0):
            return _bound(bound, missing_fen), missing_fen
    return None


def taxes_of(
    tariff: Tariff, rows: Sequence[Row], amounts_fen: Sequence[int]
) -> list[tuple[Row, int]]:
    """Return the taxes on rounded rows, each on what it is of."""
    made: list[tuple[Row, int]] = []
    for tax in tariff.taxes:
        base_fen = sum(
            fen
            for row, fen in zip(rows, amounts_fen, strict=True)
            if tax.of is None or row.component in tax.of
        )
        if base_fen:
            made.append(_tax(tax, base_fen))
    return made


def tax_price(tax: Tax) -> tuple[int, int]:
    """Give the yuan of tax per yuan, as a count and its exponent."""
    exponent = decimals_of(tax.percent) + _PERCENT_EXPONENT
    return scaled(tax.percent, exponent - _PERCENT_EXPONENT), exponent


def _fixed(tariff: Tariff, charge: FixedCharge, usage: Usage) -> Row:
    times, part = _times(tariff, charge, usage)
    of, counted = _counted(charge, usage)
    exponent = decimals_of(of)
    price = _price(charge, usage)
    price_exponent = decimals_of(price)
    return Row(
        charge.code,
        charge.name,
        scaled(of, exponent) * times,
        exponent,
        scaled(price, price_exponent),
        price_exponent,
        f"{counted}{PER[charge.per]}",
        prefix="fixed.",
        part=part,
    )


def _times(tariff: Tariff, charge: FixedCharge, usage: Usage) -> tuple[int, tuple[int, int]]:
    match charge.per:
        case "day":
            return usage.days, (1, 1)
        case "month" if charge.part == "by-day":
            months, parts = part_of_month(usage)
            return (months, (1, 1)) if parts == 1 else (1, (months, parts))
        case "month":
            return months_of(usage), (1, 1)
        case "season":
            single_season(tariff, usage)
            return 1, (1, 1)
        case "year":
            from_on, to_on = usage.from_on, usage.to_on
            if (to_on.year - 1, to_on.month, to_on.day) > (
                from_on.year,
                from_on.month,
                from_on.day,
            ):
                msg = f"to: {to_on}: {charge.code} is due once a year: split the usage"
                raise RatingError(msg)
            return 1, (1, 1)


def _counted(charge: FixedCharge, usage: Usage) -> tuple[Decimal, str]:
    premise = usage.premise
    match charge.by:
        case "premise":
            return Decimal(1), ""
        case "household":
            return Decimal(premise.households), "户·"
        case "area":
            value, allowed, uom = premise.area_m2, "above 0", "m2·"
            if value is not None and (not value.is_finite() or value <= 0):
                value = None
        case "head":
            value, allowed, uom = _whole(premise.people), "0 or more", "人·"
        case "vehicle":
            value, allowed, uom = _whole(premise.vehicles), "0 or more", "辆·"
    if value is None:
        facts = {"area": premise.area_m2, "head": premise.people, "vehicle": premise.vehicles}
        key = {"area": "area_m2", "head": "people", "vehicle": "vehicles"}[charge.by]
        msg = (
            f"premise.{key}: {facts[charge.by]}: {charge.code} is charged by {charge.by}:"
            f" allowed {allowed}"
        )
        raise RatingError(msg)
    return value, uom


def _price(charge: FixedCharge, usage: Usage) -> Decimal:
    if charge.prices_by_floor is None:
        return charge.price or Decimal(0)
    floor = usage.premise.floor
    prices = [
        each.price for each in charge.prices_by_floor if floor is not None and each.floor <= floor
    ]
    if not prices:
        lowest = charge.prices_by_floor[0].floor
        msg = f"premise.floor: {floor}: {charge.code} depends on the floor: allowed from {lowest}"
        raise RatingError(msg)
    return prices[-1]


def _bound(bound: Bound, missing_fen: int) -> Row:
    return Row(bound.code, bound.name, 1, 0, missing_fen, FEN_EXPONENT, "", prefix="bound.")


def _whole(count: int | None) -> Decimal | None:
    return None if count is None or count < 0 else Decimal(count)


def _tax(tax: Tax, base_fen: int) -> tuple[Row, int]:
    percent, exponent = tax_price(tax)
    row = Row(tax.code, tax.name, base_fen, FEN_EXPONENT, percent, exponent, "元", prefix="tax.")
    return row, divide_half_away(base_fen * percent, 10**-exponent)
