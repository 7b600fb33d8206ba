"""What discounts take off a segment, from the texts of the plans as they were approved."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import Final

from .items import Row
from .rating import Line
from .shapes import DISCOUNT, check_shape
from .values import (
    DAY,
    DiffersError,
    Doc,
    among,
    decimal_of,
    fen_of,
    half_away,
    local_day,
    no_float,
    same,
    yuan,
)

# prices of the state, which nobody else lowers
_REGULATED: Final = frozenset(
    {"electricity", "water", "gas", "heat", "heating", "hot-water", "shared", "pool"}
)
_MOST_MONTHS: Final = 12
_MOST_PERCENT: Final = 100


def discount_rows(bill: Doc, tariff: Doc, segment: Doc, place: int, fen: int) -> Iterator[Row]:
    """Give the lines below zero of a segment that came to so many fen; DiffersError."""
    inputs, path, rest = segment["inputs"], f"segments[{place}].discounts", fen
    first, last = local_day(inputs["from_on"]), local_day(inputs["to_on"])
    before = ("", date.min)
    for index, held in enumerate(segment["discounts"]):
        where = f"{path}[{index}]"
        same(f"{where}: a metered bill has none: quantity", bill["quantity"], None)
        if tariff["service"] in _REGULATED or bill["service"] in _REGULATED:
            raise DiffersError(f"{where}: {tariff['service']} is a regulated price: it has none")
        plan = _plan(held, bill, where)
        start, end = _days(plan, where)
        order = (plan["plan"], start)
        if order <= before:
            raise DiffersError(f"{where}: {order[0]}: expected plans by code and day, each once")
        before, start, end = order, max(start, first), min(end, last)
        if start >= end:
            raise DiffersError(f"{where}: none of its days are in this segment")
        months = _months(start, end)
        off, formula = _taken_off(
            plan, fen, rest, months, months / _months(first, last), f"{where}.text"
        )
        if off > 0:
            rest -= off
            names = ({"zh": "优惠", "en": "Discount"}, plan["name"])
            code = f"discount.{plan['plan']}"
            line = Line("", code, names, Fraction(1), "", Fraction(-off, 100), 2)
            yield Row(place, line, -off, formula=formula)


def _plan(held: Doc, bill: Doc, path: str) -> Doc:
    digest = hashlib.sha256(held["text"].encode()).hexdigest()
    same(f"{path}.sha256", held["sha256"], digest)
    plan: Doc = json.loads(held["text"], parse_float=no_float, parse_constant=no_float)
    check_shape(plan, DISCOUNT, f"{path}.text")
    same(f"{path}.text.account", plan["account"], bill["account"])
    among(f"{path}.text.items", bill["service"], tuple(plan["items"]))
    among(f"{path}.text.by", plan["by"], ("percent", "amount", "months"))
    least = plan["at_least_months"]
    among(f"{path}.text.at_least_months", least, tuple(range(_MOST_MONTHS + 1)))
    if _months(local_day(bill["from_on"]), local_day(bill["to_on"])) < least:
        raise DiffersError(f"{path}.text.at_least_months: {least}: the bill covers less")
    return plan


def _days(plan: Doc, path: str) -> tuple[date, date]:
    first = local_day(plan["from_on"])
    last = date.max if plan["to_on"] is None else local_day(plan["to_on"])
    if first >= last:
        raise DiffersError(f"{path}.text: {first} to {last}: no days")
    return first, last


def _months(first: date, last: date) -> Fraction:
    # a part of a month counts by its days
    months, day = Fraction(0), first
    while day < last:
        begin = day.replace(day=1)
        after = (begin + 31 * DAY).replace(day=1)
        months += Fraction((min(after, last) - day).days, (after - begin).days)
        day = after
    return months


def _taken_off(
    plan: Doc, fen: int, rest: int, months: Fraction, part: Fraction, path: str
) -> tuple[int, str]:
    value = decimal_of(plan["value"], f"{path}.value")
    if value <= 0:
        raise DiffersError(f"{path}.value: {plan['value']}: expected a number above 0")
    shown = "" if part == 1 else f" × {part}"
    if plan["by"] == "amount":
        exact = fen_of(plan["value"], f"{path}.value") * months
        formula = f"{yuan(int(value * 100))} 元 × {months} 月"
    elif plan["by"] == "months":
        least = plan["at_least_months"]
        if value.denominator != 1 or value > least:
            raise DiffersError(f"{path}.value: {plan['value']} free months of {least}")
        exact = fen * value / least * part
        formula = f"{yuan(fen)} 元 × {plan['value']}/{least}{shown}"
    else:
        if value > _MOST_PERCENT:
            raise DiffersError(f"{path}.value: {plan['value']} %: expected 100 at most")
        exact = fen * value / 100 * part
        formula = f"{yuan(fen)} 元 × {plan['value']}%{shown}"
    if plan["cap"] is not None:
        cap = fen_of(plan["cap"], f"{path}.cap")
        if exact > cap * months:
            exact = cap * months
            formula += f", 上限 {yuan(cap)} 元 × {months} 月"
    off = half_away(exact)
    if off > rest:
        off, exact = rest, Fraction(rest)
        formula += f", 至多 {yuan(rest)} 元"
    return off, f"{formula} {'=' if exact == off else '→'} {yuan(-off)} 元"
