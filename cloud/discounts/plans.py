"""Discount plans 优惠: what they lower, by how much, for whom and how long (pure)."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from cloud.billing.cycles import Days
from cloud.money import decimals_of, fen_to_yuan, yuan_to_fen

# their prices are the state's: nobody but the state lowers them
REGULATED: Final = frozenset(
    {"electricity", "water", "gas", "heat", "heating", "hot-water", "shared", "pool"}
)
_CODE: Final = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_LONGEST_NAME: Final = 80
_MANY_ITEMS: Final = 20
_MOST_MONTHS: Final = 12
_MOST_PERCENT: Final = 100
_DECIMALS: Final = -4


class By(StrEnum):
    """What a plan takes off."""

    PERCENT = "percent"  # of what is charged
    AMOUNT = "amount"  # yuan a month
    MONTHS = "months"  # so many months free of `at_least_months`


@dataclass(frozen=True)
class Plan:
    """A plan as it was resolved: ValueError names the key, the value and what is allowed.

    It lowers bills of its `items` that cover `at_least_months` whole months, by at most `cap_fen`
    a month; `reason` is the text of the resolution.
    """

    code: str
    name: str
    name_en: str
    items: tuple[str, ...]
    by: By
    value: Decimal
    at_least_months: int
    cap_fen: int | None
    days: Days
    reason: str

    def __post_init__(self) -> None:
        """Refuse what no plan may be."""
        self._check_words()
        self._check_items()
        self._check_value()
        if not 0 <= self.at_least_months <= _MOST_MONTHS:
            msg = f"at_least_months: {self.at_least_months}: allowed are 0 to {_MOST_MONTHS}"
            raise ValueError(msg)
        if self.cap_fen is not None and self.cap_fen <= 0:
            msg = f"cap: {fen_to_yuan(self.cap_fen)}: allowed is an amount above 0, or none"
            raise ValueError(msg)
        check_days(self.days)

    def _check_words(self) -> None:
        if not _CODE.fullmatch(self.code):
            msg = f"code: {self.code!r}: allowed are small letters, digits and -, at most 32"
            raise ValueError(msg)
        for key, text in (("name", self.name), ("name_en", self.name_en)):
            if not 0 < len(text.strip()) <= _LONGEST_NAME:
                msg = f"{key}: {text!r}: allowed is a text of at most {_LONGEST_NAME} letters"
                raise ValueError(msg)
        if not self.reason.strip():
            msg = "reason: '': allowed is the text of the resolution"
            raise ValueError(msg)

    def _check_items(self) -> None:
        if not 0 < len(self.items) <= _MANY_ITEMS or len(set(self.items)) < len(self.items):
            msg = f"items: {', '.join(self.items)}: allowed are 1 to {_MANY_ITEMS} charge items"
            raise ValueError(msg)
        for item in self.items:
            if not _CODE.fullmatch(item):
                msg = f"items: {item!r}: allowed are small letters, digits and -, at most 32"
                raise ValueError(msg)
            check_item(item)

    def _check_value(self) -> None:
        if not self.value.is_finite() or self.value <= 0:
            msg = f"value: {self.value}: allowed is a number above 0"
            raise ValueError(msg)
        if self.by is By.PERCENT:
            if self.value > _MOST_PERCENT or decimals_of(self.value) < _DECIMALS:
                msg = f"value: {self.value}: allowed is up to 100 %, with at most 4 decimals"
                raise ValueError(msg)
        elif self.by is By.AMOUNT:
            yuan_to_fen(f"{self.value:f}")
        elif self.value % 1 or self.value > self.at_least_months:
            msg = (
                f"value: {self.value}: allowed are whole months, up to at_least_months"
                f" ({self.at_least_months})"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class Grant:
    """A plan that somebody has, for the days when both it and they have it.

    `plan_request` and `request` number the approvals of the plan and of the assignment.
    """

    plan: Plan
    account_id: str
    days: Days
    plan_request: int
    request: int

    @property
    def text(self) -> str:
        """Give it as canonical JSON, as bills keep it."""
        plan = self.plan
        body = {
            "account": self.account_id,
            "at_least_months": plan.at_least_months,
            "by": plan.by.value,
            "cap": None if plan.cap_fen is None else fen_to_yuan(plan.cap_fen),
            "from_on": self.days.from_on.isoformat(),
            "items": list(plan.items),
            "name": {"zh": plan.name, "en": plan.name_en},
            "plan": plan.code,
            "plan_request": self.plan_request,
            "reason": plan.reason,
            "request": self.request,
            "to_on": None if self.days.to_on == date.max else self.days.to_on.isoformat(),
            "value": f"{plan.value:f}",
        }
        return json.dumps(body, ensure_ascii=False, sort_keys=True)

    @property
    def hash(self) -> str:
        """Give the SHA-256 of its text in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def grant_of(text: str) -> Grant:
    """Return a grant from the text that a bill kept."""
    body = json.loads(text)
    days = _days(body)
    return Grant(
        Plan(
            body["plan"],
            body["name"]["zh"],
            body["name"]["en"],
            tuple(body["items"]),
            By(body["by"]),
            Decimal(body["value"]),
            body["at_least_months"],
            None if body["cap"] is None else yuan_to_fen(body["cap"]),
            days,
            body["reason"],
        ),
        body["account"],
        days,
        body["plan_request"],
        body["request"],
    )


def subject_of(plan: Plan) -> dict[str, object]:
    """Return a plan as what is asked for, as JSON values; decimals and dates are text."""
    return {
        "code": plan.code,
        "name": plan.name,
        "name_en": plan.name_en,
        "items": list(plan.items),
        "by": plan.by.value,
        "value": f"{plan.value:f}",
        "at_least_months": plan.at_least_months,
        "cap_fen": plan.cap_fen,
        "from_on": plan.days.from_on.isoformat(),
        "to_on": None if plan.days.to_on == date.max else plan.days.to_on.isoformat(),
        "reason": plan.reason,
    }


def plan_of(subject: Mapping[str, object]) -> Plan:
    """Return the plan that was asked for; ValueError."""
    items, cap_fen = subject["items"], subject["cap_fen"]
    return Plan(
        str(subject["code"]),
        str(subject["name"]),
        str(subject["name_en"]),
        tuple(map(str, items)) if isinstance(items, list | tuple) else (),
        By(str(subject["by"])),
        value_of(str(subject["value"])),
        int(str(subject["at_least_months"])),
        None if cap_fen is None else int(str(cap_fen)),
        _days(subject),
        str(subject["reason"]),
    )


def value_of(text: str) -> Decimal:
    """Return what a plan takes off as a number; ValueError."""
    try:
        return Decimal(text)
    except InvalidOperation:
        msg = f"value: {text!r}: allowed is a number such as 5 or 8.5"
        raise ValueError(msg) from None


def check_item(item: str) -> None:
    """Refuse an item whose price is the state's: what meters bill, tiers, 转供 (ValueError)."""
    if item in REGULATED:
        msg = (
            f"items: {item}: a regulated price (household tiers, resold 转供, heating) has no"
            " discounts: allowed are charge items of the company such as property-fee"
        )
        raise ValueError(msg)


def check_days(days: Days) -> None:
    """Refuse days that end before they begin (ValueError)."""
    if days.to_on <= days.from_on:
        msg = f"to_on: {days.to_on}: allowed is a day after from_on ({days.from_on}), or none"
        raise ValueError(msg)


def _days(body: Mapping[str, object]) -> Days:
    to_on = body["to_on"]
    return Days(
        date.fromisoformat(str(body["from_on"])),
        date.max if to_on is None else date.fromisoformat(str(to_on)),
    )
