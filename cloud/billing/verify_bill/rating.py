"""A tariff and a usage become printed lines, exact until the fen."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import Final, NamedTuple

from .calendar import months_of, one_season, part_of_month
from .quantities import Cells, cells_of, every_limit, limits_of, pieces_of, whole_steps
from .values import DiffersError, Doc, decimal_of, decimals_of, fen_of, half_away, local_day

_PER: Final = {"day": "天", "month": "月", "season": "季", "year": "年"}
_BY: Final = {"premise": ("", ""), "household": ("households", "户·"), "area": ("area_m2", "m2·")}
_BY.update({"head": ("people", "人·"), "vehicle": ("vehicles", "辆·")})


class Line(NamedTuple):
    """A printed row: exact until its fen; `digits` are the decimals of its exact product."""

    of: str
    code: str
    names: tuple[Doc, ...]
    quantity: Fraction
    uom: str
    price: Fraction
    digits: int
    part: tuple[int, int] = (1, 1)

    @property
    def exact_fen(self) -> Fraction:
        """Return the amount in fen before it is rounded."""
        return self.quantity * self.price * 100 * Fraction(*self.part)


def rated(tariff: Doc, usage: Doc, path: str) -> tuple[list[Line], list[int], Fraction]:
    """Return the lines of a usage, their fen, and what a quantity step leaves for the next bill.

    DiffersError where the tariff does not fit it.
    """
    try:
        return _rated(tariff, usage)
    except DiffersError as error:
        raise DiffersError(f"{path}.{error}") from error


def _rated(tariff: Doc, usage: Doc) -> tuple[list[Line], list[int], Fraction]:
    days = local_day(usage["from_on"]), local_day(usage["to_on"])
    until = tariff["effective_to"] or "9999-12-31"
    if not local_day(tariff["effective_from"]) <= days[0] < days[1] <= local_day(until):
        raise DiffersError(f"inputs: {days[0]} to {days[1]}: the tariff is not in force then")
    lines, left = list[Line](), Fraction(0)
    if tariff["components"]:
        lines, left = _metered_lines(tariff, usage, *days)
    lines += _charges(tariff, usage, *days)
    fen = _rounded(lines, tariff["rounding"])
    for key, sign in (("minimum_charge", 1), ("maximum_charge", -1)):
        bound = tariff[key]
        if bound is not None:
            missing = fen_of(bound["amount"], key) * months_of(*days) - sum(fen)
            if missing * sign > 0:
                price = Fraction(missing, 100)
                code = bound["code"]
                row = Line(code, f"bound.{code}", (bound["name"],), Fraction(1), "", price, 2)
                lines, fen = [*lines, row], [*fen, missing]
                break
    taxed = list(zip((line.of for line in lines), fen, strict=True))
    for tax in tariff["taxes"]:
        base = sum(amount for of, amount in taxed if tax["of"] is None or of in tax["of"])
        percent = decimal_of(tax["percent"], "percent")
        if base:
            code, digits = tax["code"], decimals_of(tax["percent"]) + 4
            names, price = (tax["name"],), percent / 100
            lines.append(Line(code, f"tax.{code}", names, Fraction(base, 100), "元", price, digits))
            fen.append(half_away(base * percent / 100))
    return lines, fen, left


def _rounded(lines: list[Line], rounding: str) -> list[int]:
    if rounding == "line":
        return [half_away(line.exact_fen) for line in lines]
    groups: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        groups.setdefault(line.of if rounding == "component" else "", []).append(place)
    fen = [line.exact_fen.__floor__() for line in lines]
    for places in groups.values():
        goal = half_away(sum((lines[place].exact_fen for place in places), Fraction(0)))
        short = goal - sum(fen[place] for place in places)
        # the largest remainders first, ties to the row that stands first
        for place in sorted(places, key=lambda at: fen[at] - lines[at].exact_fen)[:short]:
            fen[place] += 1
    return fen


def _metered_lines(tariff: Doc, usage: Doc, first: date, last: date) -> tuple[list[Line], Fraction]:
    rates, step = tariff["rates"], tariff["quantity_step"]
    keys = ("tier", "period", "season")
    asked = {
        each["code"]: [
            any(rate[key] is not None for rate in rates if each["code"] in rate["prices"])
            for key in keys
        ]
        for each in tariff["components"]
    }
    pieces = pieces_of(tariff, usage, first, last)
    written = [text for _, text in pieces] + [usage["used_before"] or "0"]
    tiers = tariff["tiers"] or {}
    written += every_limit(tiers)
    if step is not None:
        written += [step, usage["carried_before"] or "0"]
    digits = max(map(decimals_of, written))
    if tiers.get("part", "whole") != "whole" or tariff["split_rule"] == "pro-rata":
        digits = max(2, digits)
    quantum = Fraction(1, 10**digits)

    def quanta(text: str) -> int:
        return int(decimal_of(text, "inputs") / quantum)

    walk, left = [(when, quanta(text)) for when, text in pieces], Fraction(0)
    if step is not None:
        carried = quanta(usage["carried_before"] or "0")
        left = (sum(number for _, number in walk) + carried) % quanta(step) * quantum
        walk = whole_steps(walk, carried, quanta(step))
    if tariff["price_source"] == "invoice":
        (only,), invoice = tariff["components"], usage["invoice"]
        if invoice is None:
            raise DiffersError(
                "invoice: found nothing, expected the supplier's amount and quantity"
            )
        price = decimal_of(invoice["amount"], "invoice") / decimal_of(
            invoice["quantity"], "invoice"
        )
        price = Fraction((price * 10**10).__floor__(), 10**10)
        quantity = sum(number for _, number in walk) * quantum
        code, names = only["code"], (only["name"],)
        line = Line(code, code, names, quantity, tariff["uom"], price, digits + 10)
        return [line] if quantity else [], left
    limits: list[int] = []
    if any(of[0] for of in asked.values()):
        limits = [int(limit / quantum) for limit in limits_of(tariff, tiers, usage, first, last)]
    both = any(of[0] and (of[1] or of[2]) for of in asked.values())
    cells = cells_of(tariff, usage, walk, limits, quanta(usage["used_before"] or "0"), both=both)
    return _rows(tariff, asked, cells, quantum, digits), left


def _rows(
    tariff: Doc, asked: dict[str, list[bool]], cells: Cells, quantum: Fraction, digits: int
) -> list[Line]:
    digits += max(
        decimals_of(price) for rate in tariff["rates"] for price in rate["prices"].values()
    )
    clock = tariff["time_of_use"] or {"periods": []}
    periods = {each["code"]: each["name"] for each in clock["periods"]}
    seasons = {each["code"]: each["name"] for each in tariff["seasons"]}
    made: list[tuple[tuple[int, ...], Line]] = []
    for place, component in enumerate(tariff["components"]):
        code, sums = component["code"], Counter[tuple[int | str | None, ...]]()
        for cell, number in cells.items():
            held = zip(asked[code], cell, strict=True)
            sums[tuple(value if of else None for of, value in held)] += number
        for rate in tariff["rates"]:
            tier, period, season = rate["tier"], rate["period"], rate["season"]
            number = sums[tier, period, season]
            if code not in rate["prices"] or not number:
                continue
            names, full = [component["name"]], code
            if tier is not None:
                names.append({"zh": f"第{tier}档", "en": f"tier {tier}"})
                full += f".tier{tier}"
            for value, known in ((period, periods), (season, seasons)):
                if value is not None:
                    names.append(known[value])
                    full += f".{value}"
            order = (
                tier or 0,
                list(seasons).index(season) if season else 0,
                list(periods).index(period) if period else 0,
                place,
            )
            price = decimal_of(rate["prices"][code], "price")
            quantity = number * quantum
            row = Line(code, full, tuple(names), quantity, tariff["uom"], price, digits)
            made.append((order, row))
    return [row for _, row in sorted(made, key=lambda each: each[0])]


def _charges(tariff: Doc, usage: Doc, first: date, last: date) -> Iterator[Line]:
    premise = usage["premise"]
    for charge in tariff["fixed_charges"]:
        if charge["season"] is not None and one_season(tariff, first, last) != charge["season"]:
            continue
        per, by, part, times = charge["per"], charge["by"], (1, 1), 1
        if per == "day":
            times = (last - first).days
        elif per == "month" and charge["part"] == "by-day":
            part = part_of_month(first, last)
            times, part = (part[0], (1, 1)) if part[1] == 1 else (1, part)
        elif per == "month":
            times = months_of(first, last)
        elif per == "season":
            one_season(tariff, first, last)
        elif per != "year" or (last.year - 1, last.month, last.day) > (
            first.year,
            first.month,
            first.day,
        ):
            raise DiffersError(
                f"tariff: {charge['code']} per {per}: {first} to {last} cannot be computed"
            )
        key, counted = _BY[by]
        of = str(premise[key]) if key else "1"
        # a price of nothing is written 0
        price = charge["price"] if charge["price"] and decimal_of(charge["price"], "price") else "0"
        if charge["prices_by_floor"] is not None:
            price = [
                each for each in charge["prices_by_floor"] if each["floor"] <= premise["floor"]
            ][-1]["price"]
        yield Line(
            charge["code"],
            f"fixed.{charge['code']}",
            (charge["name"],),
            decimal_of(of, f"inputs.premise.{key}") * times,
            f"{counted}{_PER[per]}",
            decimal_of(price, "price"),
            decimals_of(of) + decimals_of(price),
            part,
        )
