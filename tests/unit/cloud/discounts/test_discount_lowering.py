"""What discounts take off: by hand, and for any plan what the verifier computes anew."""

import hashlib
import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.billing.billed import Billed
from cloud.billing.bundle import to_json
from cloud.billing.bundle_segments import asked_of
from cloud.billing.cycles import Cycle, Days
from cloud.billing.drafts import Draft
from cloud.billing.recurring import recurring_drafts
from cloud.billing.repository import Household, Term
from cloud.billing.tariff_book import TariffBook
from cloud.billing.verify_bill import DiffersError, verify
from cloud.discounts.lowering import grants_in, lowered, months_in
from cloud.discounts.plans import By, Grant, Plan, grant_of
from cloud.money import fen_to_yuan
from cloud.tariffs.usage import Premise
from tests.fixtures.mutations import mutants

Json = dict[str, Any]
BOOK = TariffBook.built_in(allow_unverified=True)
FEE = "cn-property-fee-area"
YEAR = Days(date(2026, 1, 1), date(2027, 1, 1))
EVER = Days(date(2020, 1, 1), date.max)


def plan(by: By = By.PERCENT, value: str = "5", **changed: Any) -> Plan:  # noqa: ANN401 - fields of many types
    """Return a plan for the property fee."""
    fields: Json = {
        "code": "prepay",
        "name": "预缴一年",
        "name_en": "A year ahead",
        "items": ("fee",),
        "by": by,
        "value": Decimal(value),
        "at_least_months": 0,
        "cap_fen": None,
        "days": EVER,
        "reason": "2026 年第 3 次业主大会决议",
    }
    return Plan(**(fields | changed))


def granted(*plans: Plan, days: Days = EVER) -> list[Grant]:
    return [Grant(each, "a", days, 1, 2) for each in plans]


def billed(
    grants: Sequence[Grant],
    *,
    days: Days = YEAR,
    cycle: Cycle = Cycle(12, in_advance=True),  # noqa: B008 - frozen
    area: str = "80.00",
    item: str = "fee",
    tariff: str = FEE,
) -> Draft:
    """Return the bill that the first run posts for a home of 1.50 yuan a m2 and month."""
    facts = Premise(area_m2=Decimal(area), people=3)
    home = Household("a", "1-101", "b1", "home", "业主", days, None, None, facts)
    term = Term("a", item, tariff, days, cycle, {})
    (draft,), held = recurring_drafts(
        BOOK,
        {"a": home},
        [term],
        Billed([]),
        period=f"{days.from_on:%Y-%m}",
        granted={"a": grants},
    )
    assert held == []
    return draft


def bundle(draft: Draft) -> bytes:
    """Return the bundle of a draft as if it had been posted."""
    texts = {digest: text for digest, (_, text) in BOOK.used.items()}
    segments = []
    for kept in json.loads(draft.inputs):
        text = texts[kept["tariff_hash"]]
        inputs = {
            key: kept[key]
            for key in ("from_on", "to_on", "quantity", "used_before", "carried_before")
        }
        inputs |= {"held_from": kept["held_from"], "time_of_use": None, "intervals": None}
        inputs |= {"premise": kept["premise"], "invoice": None, "shares": []}
        segments.append(
            {
                "tariff": {"sha256": kept["tariff_hash"], "text": text},
                "inputs": asked_of(json.loads(text), inputs),
                "parts": [],
                "discounts": kept.get("discounts", []),
            }
        )
    names = ("segment", "code", "description", "description_en", "quantity", "uom", "unit_price")
    bill = {
        "id": draft.id,
        "number": "B00000001",
        "account": draft.account_id,
        "premise": draft.premise_id,
        "holder": draft.holder,
        "service": draft.service,
        "period": draft.period,
        "revision": 1,
        "from_on": f"{draft.from_on}",
        "to_on": f"{draft.to_on}",
        "posted_at": "2026-11-02T00:00:00+00:00",
        "quantity": None,
        "estimated": None,
        "total": fen_to_yuan(draft.total_fen),
        "line_items": [
            {name: getattr(item, name) for name in names}
            | {"amount": fen_to_yuan(item.amount_fen), "formula": item.formula}
            for item in draft.items
        ],
    }
    body: Json = {"format": "hutong-bill-1", "bill": bill, "segments": segments}
    return to_json(body | {"pools": [], "credit": None})


def off(draft: Draft) -> list[tuple[str, int]]:
    found = [each for each in draft.items if each.code.startswith("discount.")]
    return [(each.code, each.amount_fen) for each in found]


@pytest.mark.parametrize(
    ("by", "value", "changed", "fen", "formula"),
    [
        (By.PERCENT, "5", {}, -72_00, "1440.00 元 × 5% = -72.00 元"),
        (By.MONTHS, "1", {"at_least_months": 12}, -120_00, "1440.00 元 × 1/12 = -120.00 元"),
        (By.AMOUNT, "8.50", {}, -102_00, "8.50 元 × 12 月 = -102.00 元"),
        (
            By.PERCENT,
            "50",
            {"cap_fen": 20_00},
            -240_00,
            "1440.00 元 × 50%, 上限 20.00 元 × 12 月 = -240.00 元",
        ),
        (By.AMOUNT, "500", {}, -1440_00, "500.00 元 × 12 月, 至多 1440.00 元 = -1440.00 元"),
        (By.PERCENT, "0.0003", {}, 0, ""),
    ],
)
def test_a_year_ahead_is_lowered(by: By, value: str, changed: Json, fen: int, formula: str) -> None:
    draft = billed(granted(plan(by, value, **changed)))
    assert draft.total_fen == 1440_00 + fen
    assert [(each.amount_fen, each.formula) for each in draft.items[1:]] == (
        [(fen, formula)] if fen else []
    )
    verify(bundle(draft))


def test_only_its_own_days_are_lowered_and_half_a_fen_is_rounded_away() -> None:
    half = granted(plan(), days=Days(date(2026, 7, 1), date(2026, 7, 11)))
    draft = billed(half, area="95.35")
    # 10 of 31 days of one of 12 months
    share = Fraction(10, 31) / 12
    exact = Fraction(1716_30) * Fraction(5, 100) * share
    assert off(draft) == [("discount.prepay", -round(exact))]
    assert f"× {share} →" in draft.items[-1].formula
    verify(bundle(draft))


def test_a_bill_of_fewer_months_than_the_plan_wants_stays() -> None:
    wanted = granted(plan(By.MONTHS, "1", at_least_months=12))
    monthly = billed(wanted, cycle=Cycle(1, in_advance=True))
    assert (off(monthly), grants_in(monthly)) == ([], [])
    other = plan(items=("parking",))
    assert billed(granted(other)).items == billed([]).items


def test_plans_come_by_code_and_never_below_zero_together() -> None:
    first, second = plan(value="60", code="b"), plan(value="70", code="a")
    draft = billed(granted(first, second))
    assert off(draft) == [("discount.a", -1008_00), ("discount.b", -432_00)]
    assert draft.total_fen == 0
    assert grants_in(draft) == granted(second, first)
    verify(bundle(draft))


def test_no_field_of_a_lowered_bill_can_be_changed() -> None:
    days = Days(date(2026, 3, 10), date(2027, 1, 1))
    raw = bundle(billed(granted(plan(cap_fen=5_00), days=days), days=days))
    told = ("number", "id", "premise", "holder", "posted_at", "revision", "period")
    for path, changed in mutants(raw, renewed=True):
        if path not in {f"bill.{name}" for name in told}:
            with pytest.raises(DiffersError):
                verify(changed)


def _rewritten(raw: bytes, **changed: object) -> bytes:
    # somebody who changes the plan's text with its hash, and the digest
    document: Json = json.loads(raw)
    for segment in document["segments"]:
        for held in segment["discounts"]:
            body = json.loads(held["text"]) | changed
            held["text"] = json.dumps(body, ensure_ascii=False, sort_keys=True)
            held["sha256"] = hashlib.sha256(held["text"].encode()).hexdigest()
    return to_json({key: value for key, value in document.items() if key != "digest"})


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"value": "6"}, "formula|amount"),
        ({"value": "101"}, "100 at most"),
        ({"value": "-5"}, "above 0"),
        ({"account": "b"}, "account"),
        ({"items": ["parking"]}, "items"),
        ({"from_on": "2026-02-01"}, "formula|amount"),
        ({"to_on": "2026-01-01"}, "none of its days"),
        ({"cap": "1.00"}, "formula|amount"),
        ({"at_least_months": 13}, "at_least_months"),
        ({"by": "gift"}, "by"),
        ({"plan": "other"}, "code"),
        ({"extra": 1}, "fields extra"),
    ],
)
def test_a_plan_of_another_text_is_found(changed: Json, differs: str) -> None:
    raw = bundle(billed(granted(plan())))
    with pytest.raises(DiffersError, match=differs):
        verify(_rewritten(raw, **changed))


def test_a_regulated_price_has_no_discount() -> None:
    for item in ("water", "electricity", "heating", "shared"):
        with pytest.raises(ValueError, match=f"items: {item}: a regulated price"):
            plan(items=("fee", item))
    # an item of another name that a regulated tariff charges
    term = Term("a", "fee", "cn-beijing-heating-network", YEAR, Cycle(12, in_advance=True), {})
    facts = Premise(area_m2=Decimal(80), people=3)
    home = Household("a", "1-101", "b1", "home", "业主", YEAR, None, None, facts)
    drafts, held = recurring_drafts(
        BOOK,
        {"a": home},
        [term],
        Billed([]),
        period="2026-01",
        granted={"a": granted(plan())},
    )
    assert drafts == []
    assert "heating, a regulated price" in held[0].reason


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"code": "X"}, "code"),
        ({"name": " "}, "name"),
        ({"items": ()}, "items"),
        ({"items": ("fee", "fee")}, "items"),
        ({"value": Decimal(0)}, "value"),
        ({"value": Decimal("100.1")}, "value"),
        ({"value": Decimal("0.00001")}, "value"),
        ({"by": By.MONTHS, "value": Decimal(2), "at_least_months": 1}, "value"),
        ({"by": By.AMOUNT, "value": Decimal("0.001")}, "0.001"),
        ({"at_least_months": 13}, "at_least_months"),
        ({"cap_fen": 0}, "cap"),
        ({"reason": ""}, "reason"),
        ({"days": Days(date(2026, 1, 2), date(2026, 1, 2))}, "to_on"),
    ],
)
def test_what_is_no_plan_is_refused(changed: Json, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        plan(**changed)


def test_months_count_by_the_calendar() -> None:
    assert months_in(YEAR) == 12
    assert months_in(Days(date(2028, 2, 28), date(2028, 3, 2))) == Fraction(2, 29) + Fraction(1, 31)


spans = st.builds(
    lambda start, length: Days(start, start + timedelta(days=length)),
    st.dates(date(2025, 1, 1), date(2027, 6, 1)),
    st.integers(1, 800),
)
plans = st.builds(
    lambda by, value, least, cap, code, days: plan(
        by,
        str(min(value, 100) if by is By.PERCENT else max(1, value % (least + 1)))
        if by is not By.AMOUNT
        else f"{value}.{value % 100:02d}",
        at_least_months=max(1, least) if by is By.MONTHS else least,
        cap_fen=cap,
        code=code,
        days=days,
    ),
    st.sampled_from(By),
    st.integers(1, 300),
    st.integers(0, 12),
    st.none() | st.integers(1, 30_000),
    st.sampled_from(["a", "b", "c"]),
    spans,
)


@settings(max_examples=150)
@given(
    held=st.lists(plans, max_size=4),
    start=st.dates(date(2026, 1, 1), date(2026, 11, 1)),
    months=st.sampled_from([1, 3, 6, 12]),
    area=st.integers(1, 20_000),
)
def test_any_plan_is_computed_anew(held: list[Plan], start: date, months: int, area: int) -> None:
    grants = [Grant(each, "a", each.days, 1, number) for number, each in enumerate(held)]
    # one account has one assignment of a plan at a time
    alone = {(each.plan.code, each.days.from_on): each for each in grants}
    draft = billed(
        list(alone.values()),
        days=Days(start, date.max),
        cycle=Cycle(months, in_advance=True),
        area=f"{area // 100}.{area % 100:02d}",
    )
    assert draft.total_fen == sum(item.amount_fen for item in draft.items) >= 0
    assert [grant_of(each.text) for each in grants] == grants
    assert lowered(draft, []) == draft
    verify(bundle(draft))
