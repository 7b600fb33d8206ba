"""What the standalone verifier says of segments, of charges that recur and of single sums."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.billing.verify_bill import DiffersError, verify
from cloud.tariffs.files import load_tariffs, parse_tariff
from cloud.tariffs.rating import rate
from cloud.tariffs.tariff import Tariff
from cloud.tariffs.usage_files import parse_usage
from tests.fixtures.bundles import bundle_of_segments
from tests.fixtures.mutations import mutants, rewritten

Json = dict[str, Any]
Change = Callable[[Json], object]
BUILT_IN = {tariff.id: tariff for tariff in load_tariffs()}
WATER = BUILT_IN["cn-beijing-water"]
FEE = BUILT_IN["cn-property-fee-area"]


def segments_of(*rated: tuple[Tariff, Json]) -> Json:
    """Return the bundle of usages that were rated one after the other."""
    made = []
    for tariff, document in rated:
        usage = parse_usage(json.dumps(document), name="usage.json")
        made.append((tariff, document, usage, rate(tariff, usage)))
    document: Json = json.loads(bundle_of_segments(made))
    return document


def told(document: Json) -> str:
    """Return what the verifier says of a document with its digest made anew."""
    return "\n".join(verify(rewritten(document, renewed=True)))


def used(first: str, last: str, quantity: str, **more: object) -> Json:
    return {"from": first, "to": last, "quantity": quantity, **more}


def two_versions() -> Json:
    """Return a month of water whose prices changed within it, in its second annual tier."""
    old = WATER.model_copy(update={"effective_to": date(2026, 10, 16)})
    new = WATER.model_copy(update={"effective_from": date(2026, 10, 16), "version": "2"})
    return segments_of(
        (old, used("2026-10-01", "2026-10-16", "10.5", used_before="175")),
        (new, used("2026-10-16", "2026-11-01", "20", used_before="185.5")),
    )


def test_a_month_of_two_tariff_versions_is_one_bill() -> None:
    document = two_versions()
    assert {item["segment"] for item in document["bill"]["line_items"]} == {0, 1}
    assert "2 段 segments" in told(document)


def _inputs(place: int, **changed: object) -> Change:
    return lambda document: document["segments"][place]["inputs"].update(changed)


def _swapped(document: Json) -> None:
    document["segments"].reverse()


def _of_one(document: Json) -> None:
    document["bill"]["line_items"][-1]["segment"] = 0


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (_inputs(1, used_before="185.4"), r"\[1\].inputs.used_before: found .*185.4, .*185.5"),
        (_inputs(0, used_before="175.5"), r"\[1\].inputs.used_before: found .*185.5, .*186"),
        (_inputs(1, from_on="2026-10-17"), r"\[1\].inputs.from_on: .*17', expected '2026-10-16'"),
        (_inputs(1, from_on="2026-10-15"), r"\[1\].inputs.from_on: .*15', expected '2026-10-16'"),
        (_inputs(0, to_on="2026-10-15"), r"\[0\].parts: mp-1: at_us"),
        (_inputs(1, quantity="21"), r"\[1\].inputs.quantity: found 21, expected 20"),
        (lambda document: document["bill"].update(quantity="30"), "bill.quantity: found 30"),
        (lambda document: document["segments"].pop(), "bill.to_on: found '2026-11-01'"),
        (_swapped, r"segments\[0\].inputs.from_on: found '2026-10-16', expected '2026-10-01'"),
        (_of_one, r"line_items\[\d\].segment: found 0, expected 1"),
    ],
)
def test_what_does_not_follow_from_the_segment_before_is_seen(change: Change, differs: str) -> None:
    document = two_versions()
    change(document)
    with pytest.raises(DiffersError, match=differs):
        told(document)


NAMES = ("id", "number", "account", "premise", "holder", "posted_at", "revision")
# what nothing names or computes: the biller's word, or a person's who read the meter
UNSEEN = {
    *(f"bill.{name}" for name in NAMES),
    *(f"segments[].parts[].{name}" for name in ("meter_point", "meter", "device", "point")),
    *(
        f"segments[].parts[].{side}.reads[].{name}"
        for side in ("start", "end")
        for name in ("lacks", "read_at_us")
    ),
}


def test_no_field_of_two_segments_can_be_changed_alone() -> None:
    raw = rewritten(two_versions(), renewed=True)
    unseen = {path for path, changed in mutants(raw, renewed=True) if _holds(changed)}
    assert unseen <= UNSEEN
    # a charge that recurs is billed when its cycle says, under a name of its own
    raw = rewritten(fee(), renewed=True)
    unseen = {path for path, changed in mutants(raw, renewed=True) if _holds(changed)}
    assert unseen <= UNSEEN | {"bill.service", "bill.period"}


def _holds(raw: bytes) -> bool:
    try:
        verify(raw)
    except DiffersError:
        return False
    return True


def test_a_tier_period_that_begins_within_a_bill_begins_with_nothing() -> None:
    annual = WATER.model_dump(mode="json") | {"version": "2", "effective_from": "2026-10-16"}
    annual["tiers"] = annual["tiers"] | {"period": "month", "part": "by-day"}
    old = WATER.model_copy(update={"effective_to": date(2026, 10, 16)})
    new = parse_tariff(json.dumps(annual), name="t.json")
    first = used("2026-10-01", "2026-10-16", "10", used_before="175")
    # of the month, this bill has used 10; what was before it counts for the year alone
    good = segments_of((old, first), (new, used("2026-10-16", "2026-11-01", "5", used_before="10")))
    assert told(good)
    more = used("2026-10-16", "2026-11-01", "5", used_before="11")
    with pytest.raises(DiffersError, match="used_before: found 11, expected 10"):
        told(segments_of((old, first), (new, more)))
    less = used("2026-10-16", "2026-11-01", "5", used_before="9")
    with pytest.raises(DiffersError, match="used_before: found 9, expected 10"):
        told(segments_of((old, first), (new, less)))


@given(
    days=st.lists(st.integers(2, 31), min_size=1, max_size=3, unique=True),
    counts=st.lists(st.integers(0, 9_999), min_size=4, max_size=4),
    step=st.sampled_from(["1", "0.5", "10"]),
    carried=st.integers(0, 9),
)
def test_what_a_step_leaves_is_billed_by_the_next_segment(
    days: list[int], counts: list[int], step: str, carried: int
) -> None:
    tariff = WATER.model_copy(update={"quantity_step": Decimal(step)})
    starts = [date(2026, 10, 1), *(date(2026, 10, day) for day in sorted(days))]
    left, before, made = Decimal(carried), Decimal(100), []
    for first, last, count in zip(starts, [*starts[1:], date(2026, 11, 1)], counts, strict=False):
        quantity = Decimal(count).scaleb(-2)
        facts = {"carried_before": f"{left}", "used_before": f"{before}"}
        made.append((tariff, used(f"{first}", f"{last}", f"{quantity}", **facts)))
        left, before = (left + quantity) % Decimal(step), before + quantity
    document = segments_of(*made)
    assert told(document)
    inputs = document["segments"][-1]["inputs"]
    inputs["carried_before"] = f"{Decimal(inputs['carried_before']) + Decimal('0.01')}"
    with pytest.raises(DiffersError, match=r"carried_before: found"):
        told(document)


def fee() -> Json:
    """Return a fee of 20 September to 10 December: a part of a month, whole ones, a part."""
    facts = {"premise": {"area_m2": "80.00"}}
    days = [
        ("2026-09-20", "2026-10-01"),
        ("2026-10-01", "2026-12-01"),
        ("2026-12-01", "2026-12-11"),
    ]
    document = segments_of(*((FEE, {"from": a, "to": b, **facts}) for a, b in days))
    document["bill"]["service"] = "property-fee-of-b1"
    return document


def test_a_charge_that_recurs_has_no_meter() -> None:
    document = fee()
    text = told(document)
    assert "不计量 not metered" in text
    assert "没有示数" not in text
    document["segments"][1]["inputs"]["from_on"] = "2026-10-02"
    with pytest.raises(DiffersError, match=r"\[1\].inputs.from_on"):
        told(document)
    metered = segments_of((WATER, used("2026-10-01", "2026-11-01", "10")))
    metered["bill"]["quantity"] = None
    with pytest.raises(DiffersError, match=r"tariff: components: found"):
        told(metered)


def test_a_season_that_was_charged_before_is_no_gap() -> None:
    seasons = [("heating", "11-15", "03-14"), ("off", "03-15", "11-14")]
    body = FEE.model_dump(mode="json") | {
        "seasons": [
            {"code": code, "name": {"zh": code, "en": code}, "first": first, "last": last}
            for code, first, last in seasons
        ],
    }
    charge = body["fixed_charges"][0] | {"per": "season", "season": "heating", "part": "whole"}
    body["fixed_charges"] = [charge]
    tariff = parse_tariff(json.dumps(body), name="t.json")

    def bill(*days: tuple[str, str]) -> Json:
        facts = {"premise": {"area_m2": "80.00"}}
        return segments_of(*((tariff, {"from": a, "to": b, **facts}) for a, b in days))

    # winter is due on its first day; its other months were charged with it
    assert told(bill(("2026-11-15", "2026-12-01"), ("2027-03-15", "2027-04-01")))
    with pytest.raises(DiffersError, match=r"\[1\].inputs.from_on"):
        told(bill(("2026-11-15", "2026-12-01"), ("2027-03-16", "2027-04-01")))
    with pytest.raises(DiffersError, match=r"\[1\].inputs.from_on"):
        told(bill(("2026-11-15", "2026-12-01"), ("2026-11-20", "2026-12-01")))


def single() -> Json:
    """Return the bundle of a single charge."""
    document = segments_of((WATER, used("2026-10-01", "2026-11-01", "0")))
    amount, text = "58.00", "更换水龙头"
    item = {"segment": 0, "code": "single.repair", "description": text, "description_en": text}
    item |= {"quantity": "1", "uom": "", "unit_price": amount, "amount": amount}
    bill = {"service": "repair", "quantity": None, "estimated": None, "total": amount}
    bill |= {"from_on": "2026-10-07", "to_on": "2026-10-08"}
    bill |= {"line_items": [item | {"formula": f"{amount} 元"}]}
    document["bill"].update(bill)
    document["segments"] = []
    return document


def test_of_a_single_charge_only_its_sum_is_checked() -> None:
    assert "临时收费 a single charge: nothing but its sum can be checked" in told(single())


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"total": "58.01"}, "bill.total"),
        ({"to_on": "2026-10-09"}, "bill.to_on"),
        ({"period": "2026-11"}, "bill.period"),
        ({"service": "card"}, "code: found 'single.repair', expected 'single.card'"),
        ({"quantity": "1"}, "bill.quantity"),
        ({"line_items": []}, "bill.line_items: found 0, expected 1"),
    ],
)
def test_a_single_charge_is_one_line_on_its_day(changed: Json, differs: str) -> None:
    document = single()
    document["bill"].update(changed)
    with pytest.raises(DiffersError, match=differs):
        told(document)


def test_what_was_taken_back_says_so() -> None:
    document = single()
    document["credit"] = {"number": "C00000009", "reason": "not done", "total": "-58.00"}
    assert "taken back by credit note C00000009, -58.00 元: not done" in told(document)
    document["credit"]["total"] = "-57.00"
    with pytest.raises(DiffersError, match=r"credit.total: "):
        told(document)
