"""A second computation of a bill from the text of a tariff: slow, plain, no code in common."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import floor
from typing import Any

import yaml

from tests.reference.second_calendar import RefusedError
from tests.reference.second_charges import bound, charges, half_away, limits_of, taxes
from tests.reference.second_quantities import (
    Cells,
    When,
    cells_of,
    cut_last,
    decimals_of,
    pieces_of,
    written_in,
)

# every scalar stays the text that somebody wrote
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_KEYS = ("tier", "period", "season")


@dataclass(frozen=True)
class Line:
    """A printed row; `part` is the part of a month it is due for."""

    code: str
    quantity: Fraction
    unit_price: Fraction
    fen: int


@dataclass(frozen=True)
class Bill:
    """What the second engine makes of a usage."""

    lines: tuple[Line, ...]
    total_fen: int
    carried: Fraction


@dataclass
class Draft:
    """A row before rounding: what it is of, and what it comes to in fen exactly."""

    component: str
    code: str
    quantity: Fraction
    unit_price: Fraction
    part: Fraction = Fraction(1)

    @property
    def exact_fen(self) -> Fraction:
        """Give the exact amount."""
        return self.quantity * self.unit_price * self.part * 100


def read_tariff(text: str) -> dict[str, Any]:
    """Read YAML (or JSON) with every scalar as text."""
    document: dict[str, Any] = yaml.load(text, Loader=_LOADER)  # noqa: S506  # only text is made
    return document


def second_bill(text: str, usage: dict[str, Any]) -> Bill:
    """Compute the bill of a usage file (its JSON); RefusedError where the tariff does not fit."""
    tariff = read_tariff(text)
    from_on, to_on = date.fromisoformat(usage["from"]), date.fromisoformat(usage["to"])
    _refuse_days(tariff, usage, from_on, to_on)
    drafts: list[Draft] = []
    carried = Fraction(0)
    if tariff.get("components"):
        drafts, carried = _metered(tariff, usage, from_on, to_on)
    for code, quantity, price, part in charges(tariff, usage, from_on, to_on):
        drafts.append(Draft(code, f"fixed.{code}", quantity, price, part))
    fen = _rounded(drafts, tariff["rounding"])
    lines = [
        Line(draft.code, draft.quantity, draft.unit_price, amount)
        for draft, amount in zip(drafts, fen, strict=True)
    ]
    components = [draft.component for draft in drafts]
    missing = bound(tariff, sum(fen), from_on, to_on)
    if missing is not None:
        code, amount = missing
        components.append(code)
        lines.append(Line(f"bound.{code}", Fraction(1), Fraction(amount, 100), amount))
    amounts = list(zip(components, (line.fen for line in lines), strict=True))
    for code, base, percent, amount in taxes(tariff, amounts):
        lines.append(Line(f"tax.{code}", Fraction(base, 100), percent / 100, amount))
    return Bill(tuple(lines), sum(line.fen for line in lines), carried)


def _refuse_days(tariff: dict[str, Any], usage: dict[str, Any], from_on: date, to_on: date) -> None:
    begin = date.fromisoformat(tariff["effective_from"])
    end = date.fromisoformat(tariff.get("effective_to", "9999-12-31"))
    if not begin <= from_on < to_on <= end:
        raise RefusedError("not in force")
    if "held_from" in usage and date.fromisoformat(usage["held_from"]) >= to_on:
        raise RefusedError("held from later on")


def _metered(
    tariff: dict[str, Any], usage: dict[str, Any], from_on: date, to_on: date
) -> tuple[list[Draft], Fraction]:
    components = [component["code"] for component in tariff["components"]]
    asked = {code: _asked(tariff, code) for code in components}
    pieces = pieces_of(tariff, usage, from_on, to_on)
    limits = limits_of(tariff, usage, from_on, to_on) if any(of[0] for of in asked.values()) else []
    decimals = max(map(decimals_of, written_in(tariff, usage)))
    is_part = tariff.get("tiers", {}).get("part", "whole") != "whole"
    if is_part or tariff.get("split_rule") == "pro-rata":
        decimals = max(2, decimals)
    quantum = Fraction(1, 10**decimals)
    walk = [(when, round(quantity / quantum)) for when, quantity in pieces]
    carried = 0
    if "quantity_step" in tariff:
        step = round(Fraction(tariff["quantity_step"]) / quantum)
        walk.insert(0, (walk[0][0], round(Fraction(usage.get("carried_before", "0")) / quantum)))
        carried = sum(quanta for _, quanta in walk) % step
        walk = cut_last(walk, carried)
    if tariff.get("price_source") == "invoice":
        return _by_invoice(usage, components[0], walk, quantum), carried * quantum
    at = round(Fraction(usage.get("used_before", "0")) / quantum)
    cells = cells_of(tariff, usage, walk, [limit / quantum for limit in limits], at, asked)
    drafts = [
        draft
        for code in components
        for draft in _component(tariff, code, cells, asked[code], quantum)
    ]
    order = {draft.code: place for place, draft in enumerate(drafts)}
    drafts.sort(key=lambda draft: (*_place(tariff, draft.code), order[draft.code]))
    return drafts, carried * quantum


def _asked(tariff: dict[str, Any], code: str) -> tuple[bool, bool, bool]:
    # whether tier, period and season matter to a component
    rates = [rate for rate in tariff.get("rates", ()) if code in rate["prices"]]
    tier, period, season = (any(key in rate for rate in rates) for key in _KEYS)
    return tier, period, season


def _by_invoice(
    usage: dict[str, Any], code: str, walk: list[tuple[When, int]], quantum: Fraction
) -> list[Draft]:
    if "invoice" not in usage:
        raise RefusedError("no invoice")
    invoice = usage["invoice"]
    price = Fraction(invoice["amount"]) / Fraction(invoice["quantity"])
    cut = Fraction(floor(price * 10**10), 10**10)
    quantity = sum(number for _, number in walk) * quantum
    return [Draft(code, code, quantity, cut)] if quantity else []


def _component(
    tariff: dict[str, Any],
    code: str,
    cells: Cells,
    asked: tuple[bool, bool, bool],
    quantum: Fraction,
) -> list[Draft]:
    sums: Counter[tuple[str | None, ...]] = Counter()
    for (tier, period, season), quanta in cells.items():
        values = (str(tier), period, season)
        key = tuple(value if of else None for of, value in zip(asked, values, strict=True))
        sums[key] += quanta
    drafts: list[Draft] = []
    for rate in tariff["rates"]:
        if code in rate["prices"] and sums[key := tuple(rate.get(name) for name in _KEYS)]:
            named = [f"tier{rate['tier']}"] if "tier" in rate else []
            named += [rate[name] for name in ("period", "season") if name in rate]
            price = Fraction(rate["prices"][code])
            drafts.append(Draft(code, ".".join([code, *named]), sums[key] * quantum, price))
    return drafts


def _place(tariff: dict[str, Any], code: str) -> tuple[int, int, int]:
    # rows by tier, then season, then period, as they stand in the tariff
    tier = season = period = 0
    for name in code.split(".")[1:]:
        if name.startswith("tier") and name[4:].isdecimal():
            tier = int(name[4:])
    periods = [each["code"] for each in tariff.get("time_of_use", {}).get("periods", ())]
    seasons = [each["code"] for each in tariff.get("seasons", ())]
    for name in code.split(".")[1:]:
        period = periods.index(name) if name in periods else period
        season = seasons.index(name) if name in seasons else season
    return tier, season, period


def _rounded(drafts: list[Draft], rounding: str) -> list[int]:
    if rounding == "line":
        return [half_away(draft.exact_fen) for draft in drafts]
    fen = [floor(draft.exact_fen) for draft in drafts]
    groups = {draft.component if rounding == "component" else "" for draft in drafts}
    for group in groups:
        places = [
            place
            for place, draft in enumerate(drafts)
            if rounding == "once" or draft.component == group
        ]
        goal = half_away(sum((drafts[place].exact_fen for place in places), Fraction(0)))
        rests = {place: drafts[place].exact_fen - fen[place] for place in places}
        while sum(fen[place] for place in places) < goal:
            chosen = max(rests, key=lambda place: rests[place])
            fen[chosen] += 1
            del rests[chosen]
    return fen
