"""What discounts take off a bill: a line below zero behind those that it lowers (pure)."""

import json
from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction

import msgspec

from cloud.billing.cycles import Days, next_month
from cloud.billing.drafts import Draft, Item
from cloud.discounts.plans import By, Grant, grant_of
from cloud.money import divide_half_away, fen_to_yuan, yuan_to_fen


def lowered(draft: Draft, grants: Iterable[Grant]) -> Draft:
    """Return a draft with its discounts, plan by plan in order of their codes.

    Each segment keeps the text of every grant whose days meet its own; no segment falls below 0.
    """
    mine = sorted(
        (each for each in grants if _is_for(each, draft)),
        key=lambda each: (each.plan.code, each.days),
    )
    if not mine:
        return draft
    kept = json.loads(draft.inputs)
    items: list[Item] = []
    for place, inputs in enumerate(kept):
        own = [item for item in draft.items if item.segment == place]
        items += own
        days = Days(*(date.fromisoformat(inputs[key]) for key in ("from_on", "to_on")))
        met = [(each, both) for each in mine if (both := _meet(each.days, days)) is not None]
        if met:
            items += _lines(place, days, sum(item.amount_fen for item in own), met)
            inputs["discounts"] = [{"sha256": grant.hash, "text": grant.text} for grant, _ in met]
    return msgspec.structs.replace(
        draft,
        items=tuple(items),
        total_fen=sum(item.amount_fen for item in items),
        inputs=json.dumps(kept, ensure_ascii=False, sort_keys=True),
    )


def grants_in(draft: Draft) -> list[Grant]:
    """Return the grants that a bill was lowered by."""
    texts = {
        each["text"]: None
        for inputs in json.loads(draft.inputs)
        for each in inputs.get("discounts", ())
    }
    return [grant_of(text) for text in texts]


def months_in(days: Days) -> Fraction:
    """Return days as months of the calendar: a part of a month counts by its days."""
    months, first = Fraction(0), days.from_on
    while first < days.to_on:
        after = next_month(first)
        whole = (after - first.replace(day=1)).days
        months += Fraction((min(after, days.to_on) - first).days, whole)
        first = after
    return months


def _is_for(grant: Grant, draft: Draft) -> bool:
    whole = Days(draft.from_on, draft.to_on)
    return (
        draft.service in grant.plan.items
        and grant.account_id == draft.account_id
        and months_in(whole) >= grant.plan.at_least_months
    )


def _meet(one: Days, other: Days) -> Days | None:
    both = Days(max(one.from_on, other.from_on), min(one.to_on, other.to_on))
    return both if both.from_on < both.to_on else None


def _lines(
    place: int, days: Days, charged_fen: int, met: Sequence[tuple[Grant, Days]]
) -> list[Item]:
    found: list[Item] = []
    rest_fen = charged_fen
    for grant, both in met:
        fen, formula = _taken_off(grant, charged_fen, rest_fen, days, both)
        if fen > 0:
            rest_fen -= fen
            found.append(_item(place, grant, fen, formula))
    return found


def _taken_off(
    grant: Grant, charged_fen: int, rest_fen: int, days: Days, both: Days
) -> tuple[int, str]:
    plan, months = grant.plan, months_in(both)
    part = months / months_in(days)
    shown = "" if part == 1 else f" × {part}"
    charged = f"{fen_to_yuan(charged_fen)} 元"
    if plan.by is By.PERCENT:
        exact = charged_fen * Fraction(plan.value) / 100 * part
        formula = f"{charged} × {plan.value:f}%{shown}"
    elif plan.by is By.MONTHS:
        exact = charged_fen * Fraction(plan.value) / plan.at_least_months * part
        formula = f"{charged} × {plan.value:f}/{plan.at_least_months}{shown}"
    else:
        a_month_fen = yuan_to_fen(f"{plan.value:f}")
        exact = a_month_fen * months
        formula = f"{fen_to_yuan(a_month_fen)} 元 × {months} 月"
    if plan.cap_fen is not None and exact > plan.cap_fen * months:
        exact = plan.cap_fen * months
        formula += f", 上限 {fen_to_yuan(plan.cap_fen)} 元 × {months} 月"
    fen = divide_half_away(exact.numerator, exact.denominator)
    if fen > rest_fen:
        # a bill is no gift
        fen, exact = rest_fen, Fraction(rest_fen)
        formula += f", 至多 {fen_to_yuan(rest_fen)} 元"
    sign = "=" if exact == fen else "→"
    return fen, f"{formula} {sign} {fen_to_yuan(-fen)} 元"


def _item(place: int, grant: Grant, fen: int, formula: str) -> Item:
    return Item(
        segment=place,
        code=f"discount.{grant.plan.code}",
        description=f"优惠 {grant.plan.name}",
        description_en=f"Discount, {grant.plan.name_en}",
        quantity="1",
        uom="",
        unit_price="",
        amount_fen=-fen,
        formula=formula,
    )
