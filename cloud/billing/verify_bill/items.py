"""Line items as they were printed, beside what was computed."""

from typing import NamedTuple

from .rating import Line
from .values import Doc, decimal_of, same, yuan


class Row(NamedTuple):
    """A line item as it must be: by its tariff's rounding, or with the formula and price given."""

    segment: int
    line: Line
    fen: int
    rounding: str = ""
    formula: str = ""
    price: str = ""


def check_item(item: Doc, row: Row, path: str) -> None:
    """Check that a line item is what was computed; DiffersError."""
    line, fen, formula = row.line, row.fen, row.formula
    same(f"{path}.segment", item["segment"], row.segment)
    same(f"{path}.code", item["code"], line.code)
    same(f"{path}.description", item["description"], " ".join(name["zh"] for name in line.names))
    english = ", ".join(name["en"] for name in line.names)
    same(f"{path}.description_en", item["description_en"], english)
    same(f"{path}.uom", item["uom"], line.uom)
    same(f"{path}.quantity", decimal_of(item["quantity"], f"{path}.quantity"), line.quantity)
    same(f"{path}.amount", item["amount"], yuan(fen))
    if formula:
        same(f"{path}.unit_price", item["unit_price"], row.price)
    else:
        same(f"{path}.unit_price", decimal_of(item["unit_price"], f"{path}.unit_price"), line.price)
        exact, digits = line.exact_fen / 100, line.digits
        formula = f"{item['quantity']} {line.uom} × {item['unit_price']} 元"
        if line.part != (1, 1):
            formula += f" × {line.part[0]}/{line.part[1]} = {yuan(fen)} 元"
        else:
            while digits > 2 and (exact * 10 ** (digits - 1)).denominator == 1:  # noqa: PLR2004 - fen
                digits -= 1
            number = f"{abs(int(exact * 10**digits)):0{digits + 1}d}"
            number = f"{number[:-digits]}.{number[-digits:]}" if digits else number
            formula += f" = {'-' * (exact < 0)}{number} 元"
            if exact * 100 != fen:
                formula += f" → {yuan(fen)} 元 ({row.rounding})"
    same(f"{path}.formula", item["formula"], formula)
