"""Many accounts rated at once against `rate_by` and the second engine, account by account."""

import json
import os
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from cloud.tariffs.files import parse_tariff
from cloud.tariffs.mass_rated import Kind, MassRated
from cloud.tariffs.mass_rating import rate_many, rate_usages
from cloud.tariffs.mass_usage import Facts, MassUsage, facts_by_account
from cloud.tariffs.rate_plan import RatePlan
from cloud.tariffs.rating import Rated, RatingError, rate_by
from cloud.tariffs.usage import Premise, Usage
from cloud.tariffs.usage_files import parse_usage
from tests.reference import random_tariffs
from tests.reference.golden_cases import BUILT_IN, cases
from tests.reference.second_calendar import RefusedError
from tests.reference.second_engine import second_bill

EXAMPLES = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 240
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
HALF_HOUR_S = 1800
MOST_INTERVALS = 1600
# what an account may have used: as a rule little, now and then more than 64 bits can rate
COUNTS = st.one_of(
    st.integers(0, 60_000),
    st.integers(0, 60_000),
    st.sampled_from([0, 1, 2**31, 2**40, 2**55, 2**62, -1]),
)


@st.composite
def runs(draw: st.DrawFn) -> tuple[dict[str, Any], MassUsage]:
    """Draw a tariff document and the use of one to four accounts in one of its forms."""
    document, shown = draw(random_tariffs.documents())
    tariff = parse_tariff(json.dumps(document), name="t.json")
    accounts = draw(st.integers(1, 4))
    counts = st.lists(COUNTS, min_size=accounts, max_size=accounts).map(
        lambda numbers: np.array(numbers, np.int64)
    )
    facts, facts_of = facts_by_account([_facts(draw, document) for _ in range(accounts)])
    usage = MassUsage(
        from_on=date.fromisoformat(shown["from"]),
        to_on=date.fromisoformat(shown["to"]),
        accounts=accounts,
        exponent=draw(st.sampled_from([0, -1, -2, -3])),
        used_before=draw(counts) if draw(st.booleans()) else None,
        carried_before=draw(counts) if draw(st.booleans()) else None,
        facts=facts,
        facts_of=facts_of,
        interval_s=HALF_HOUR_S,
    )
    clock = tariff.time_of_use
    if draw(st.booleans()) and (width := usage.intervals_in(tariff)) <= MOST_INTERVALS:
        matrix = np.zeros((accounts, width), np.int64)
        for account in range(accounts):
            for place in draw(st.lists(st.integers(0, width - 1), max_size=6)):
                matrix[account, place] = draw(COUNTS)
        return document, replace(usage, intervals=matrix)
    if clock is not None and draw(st.integers(0, 9)):
        by_period = {period.code: draw(counts) for period in clock.periods}
        return document, replace(usage, time_of_use=by_period)
    return document, replace(usage, quantity=draw(counts))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=CHECKS)
@given(runs())
def test_each_account_is_what_rate_by_makes_of_it(run: tuple[dict[str, Any], MassUsage]) -> None:
    document, usage = run
    plan = RatePlan(parse_tariff(json.dumps(document), name="t.json"))
    rated = rate_many(plan, usage)
    singly = [_singly(plan, usage.usage(plan.tariff, at)) for at in range(usage.accounts)]
    for found, expected in zip(rated, singly, strict=True):
        event("error" if isinstance(expected, RatingError) else "rated")
        _assert_same(found, expected)
    _assert_arrays(rated, singly)


@settings(max_examples=EXAMPLES // 8, deadline=None, suppress_health_check=CHECKS)
@given(runs())
def test_each_account_is_what_the_second_engine_makes_of_it(
    run: tuple[dict[str, Any], MassUsage],
) -> None:
    document, usage = run
    text = json.dumps(document)
    tariff = parse_tariff(text, name="t.json")
    for at, found in enumerate(rate_many(RatePlan(tariff), usage)):
        shown = usage.usage(tariff, at)
        if min(_quantities(shown)) < 0 or max(_quantities(shown)) > 10**4:
            continue
        try:
            second = second_bill(text, _document(shown))
        except RefusedError:
            assert isinstance(found, RatingError)
            continue
        assert isinstance(found, Rated)
        lines = [
            (item.code, Fraction(item.quantity), Fraction(item.unit_price), item.amount_fen)
            for item in found.line_items
        ]
        event(f"lines: {len(lines)}")
        assert lines == [
            (each.code, each.quantity, each.unit_price, each.fen) for each in second.lines
        ]
        assert found.total_fen == second.total_fen
        assert Fraction(found.carried_quantity) == second.carried


@st.composite
def _usages(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    document, first = draw(random_tariffs.documents())
    others = [random_tariffs._usage(draw, document) for _ in range(draw(st.integers(0, 4)))]
    return document, [first, *others]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=CHECKS)
@given(_usages())
def test_usages_of_any_span_and_form(case: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    document, shown = case
    plan = RatePlan(parse_tariff(json.dumps(document), name="t.json"))
    usages = [parse_usage(json.dumps(each), name="usage.json") for each in shown]
    for found, usage in zip(rate_usages(plan, usages), usages, strict=True):
        _assert_same(found, _singly(plan, usage))


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.yaml")), ids=lambda path: path.stem)
def test_golden_cases(path: Path) -> None:
    tariff = parse_tariff(path.read_text("utf-8"), name=path.name)
    plan = RatePlan(tariff)
    usages = [
        parse_usage(json.dumps(case.usage), name=str(case))
        for case in cases()
        if case.tariff_id == tariff.id
    ]
    rated = [each for each in rate_usages(plan, usages) if isinstance(each, Rated)]
    for found, usage in zip(rate_usages(plan, usages), usages, strict=True):
        _assert_same(found, _singly(plan, usage))
    if path.stem == tariff.id:
        assert rated


TIME_OF_USE = """
id: t
version: "1"
name: {zh: 电, en: power}
effective_from: 2024-01-01
time_zone: Asia/Shanghai
source: drawn
verified: false
service: electricity
uom: kWh
supply_kinds: [collected]
rounding: RULE
split_rule: SPLIT
tiers: {period: year, limits: ["2520", "4800"]}
time_of_use:
  periods:
    - {code: peak, name: {zh: 峰, en: peak}, windows: [{start: "08:00", end: "11:00"}]}
    - {code: flat, name: {zh: 平, en: flat}, windows: [{start: "11:00", end: "22:00"}]}
    - {code: valley, name: {zh: 谷, en: valley}, windows: [{start: "22:00", end: "08:00"}]}
components: [{code: energy, name: {zh: 电费, en: energy}}]
rates:
  - {tier: 1, period: peak, prices: {energy: "0.5971"}}
  - {tier: 1, period: flat, prices: {energy: "0.5283"}}
  - {tier: 1, period: valley, prices: {energy: "0.3071"}}
  - {tier: 2, period: peak, prices: {energy: "0.6471"}}
  - {tier: 2, period: flat, prices: {energy: "0.5783"}}
  - {tier: 2, period: valley, prices: {energy: "0.3571"}}
  - {tier: 3, period: peak, prices: {energy: "0.8971"}}
  - {tier: 3, period: flat, prices: {energy: "0.8283"}}
  - {tier: 3, period: valley, prices: {energy: "0.6071"}}
"""


@pytest.mark.parametrize("rule", ["line", "component", "once"])
@pytest.mark.parametrize("split", ["by-time", "pro-rata"])
def test_a_month_of_hours_of_more_accounts_than_a_block(rule: str, split: str) -> None:
    plan = RatePlan(parse_tariff(_time_of_use(rule, split), name="t.yaml"))
    draw = np.random.default_rng(7)
    usage = MassUsage(
        from_on=date(2024, 6, 1),
        to_on=date(2024, 7, 1),
        accounts=2500,
        exponent=-2,
        intervals=draw.integers(0, 90, (2500, 720)),
        used_before=draw.integers(0, 500_000, 2500),
    )
    rated = rate_many(plan, usage)
    assert not rated.odd
    for at in range(0, 2500, 250):
        assert rated.rated(at) == rate_by(plan, usage.usage(plan.tariff, at))
    assert rated.totals_fen.tolist() == [
        each.total_fen for each in rated if isinstance(each, Rated)
    ]
    metered = [at for at, slot in enumerate(rated.slots) if slot.kind is Kind.METERED]
    assert (rated.arrays.quantities[metered].sum(axis=0) == usage.intervals.sum(axis=1)).all()


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5), st.integers(0, 2**63 - 1))
def test_no_count_is_so_large_that_a_bill_is_wrong(numbers: list[int], used: int) -> None:
    plan = RatePlan(parse_tariff(_time_of_use("once", "pro-rata"), name="t.yaml"))
    counts = np.array(numbers, np.int64)
    usage = MassUsage(
        from_on=date(2024, 6, 1),
        to_on=date(2024, 7, 1),
        accounts=len(numbers),
        exponent=-1,
        time_of_use={"peak": counts, "flat": counts[::-1], "valley": counts},
        used_before=np.full(len(numbers), used, np.int64),
    )
    for at, found in enumerate(rate_many(plan, usage)):
        assert found == rate_by(plan, usage.usage(plan.tariff, at))


def test_around_the_largest_count_that_is_rated_at_once() -> None:
    tariff = parse_tariff((BUILT_IN / "cn-beijing-water.yaml").read_text("utf-8"), name="water")
    plan = RatePlan(tariff)
    odd: set[bool] = set()
    for power in range(20, 63):
        counts = np.array([2**power - 1, 2**power, 2**power + 1], np.int64)
        usage = MassUsage(
            from_on=date(2026, 1, 1),
            to_on=date(2026, 2, 1),
            accounts=3,
            quantity=counts,
            facts=(Facts(Premise(people=3)),),
        )
        rated = rate_many(plan, usage)
        odd.add(bool(rated.odd))
        for at, found in enumerate(rated):
            assert found == rate_by(plan, usage.usage(tariff, at))
        assert rated.totals_fen.tolist() == [rated.rated(at).total_fen for at in range(3)]
    assert odd == {False, True}


def test_what_is_refused() -> None:
    days = {"from_on": date(2024, 6, 1), "to_on": date(2024, 7, 1), "accounts": 2}
    two = np.array([1, 2], np.int64)
    for wrong, message in [
        ({"quantity": two[:1]}, "quantity: shape"),
        ({"quantity": np.array([0.5, 1])}, "quantity: float64: allowed are integers"),
        ({"quantity": np.array([1, 2], np.uint64)}, "quantity: uint64"),
        ({"quantity": two, "intervals": np.zeros((2, 720), np.int64)}, "allowed is one of them"),
        ({"facts_of": np.array([0, 1])}, "facts_of: allowed are indexes from 0 to 0"),
        ({"intervals": two}, "intervals: shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            MassUsage(**days, **wrong)
    plan = RatePlan(parse_tariff(_time_of_use("once", "by-time"), name="t.yaml"))
    short = MassUsage(**days, intervals=np.zeros((2, 719), np.int64))
    with pytest.raises(ValueError, match="719: allowed are the 720 of the span; a gap is not 0"):
        rate_many(plan, short)
    with pytest.raises(ValueError, match="interval_s: 7000"):
        rate_many(plan, MassUsage(**days, intervals=np.zeros((2, 719), np.int64), interval_s=7000))


def test_facts_that_are_written_differently_are_kept_apart() -> None:
    facts = [Facts(Premise(area_m2=Decimal(text))) for text in ("90", "90.0", "90")]
    distinct, of = facts_by_account(facts)
    assert [str(each.premise.area_m2) for each in distinct] == ["90", "90.0"]
    assert of.tolist() == [0, 1, 0]


def _time_of_use(rule: str, split: str) -> str:
    return TIME_OF_USE.replace("RULE", rule).replace("SPLIT", split)


def _facts(draw: st.DrawFn, document: dict[str, Any]) -> Facts:
    shown = {"from": "2024-02-01", "to": "2024-03-01", "quantity": "1"}
    shown["premise"] = random_tariffs._premise(draw)
    if "price_source" in document and draw(st.integers(0, 5)):
        amount = str(draw(st.integers(0, 9999)))
        shown["invoice"] = {"amount": amount, "quantity": "123.4"}
    if draw(st.integers(0, 2)) == 0:
        shown["held_from"] = draw(st.sampled_from(["2023-05-05", "2024-01-17", "2024-11-30"]))
    usage = parse_usage(json.dumps(shown), name="usage.json")
    return Facts(usage.premise, usage.held_from, usage.invoice)


def _singly(plan: RatePlan, usage: Usage) -> Rated | RatingError:
    try:
        return rate_by(plan, usage)
    except RatingError as error:
        return error


def _assert_same(found: Rated | RatingError, expected: Rated | RatingError) -> None:
    if isinstance(expected, RatingError):
        assert type(found) is type(expected)
        assert str(found) == str(expected)
        return
    assert isinstance(found, Rated)
    assert found == expected
    assert found.carried_quantity.as_tuple() == expected.carried_quantity.as_tuple()
    assert found.line_items == expected.line_items
    assert {type(number) for number in (*found.amounts_fen, found.total_fen)} == {int}


def _assert_arrays(rated: MassRated, singly: list[Rated | RatingError]) -> None:
    arrays = rated.arrays
    for at, expected in enumerate(singly):
        if isinstance(expected, RatingError):
            assert not arrays.is_present[:, at].any()
            assert not arrays.totals_fen[at]
            assert at in rated.errors
            continue
        present = np.flatnonzero(arrays.is_present[:, at])
        assert [rated.slots[place].key for place in present] == [
            (row.prefix, row.component, row.cell) for row in expected.rows
        ]
        assert list(arrays.quantities[present, at]) == [row.quantity for row in expected.rows]
        assert list(arrays.amounts_fen[:, at][arrays.is_present[:, at]]) == list(
            expected.amounts_fen
        )
        assert arrays.amounts_fen[:, at].sum() == arrays.totals_fen[at] == expected.total_fen


def _quantities(usage: Usage) -> list[Decimal]:
    return [
        usage.used_before,
        usage.carried_before,
        usage.quantity or Decimal(0),
        *(usage.time_of_use or {}).values(),
        *(interval.quantity for interval in usage.intervals or ()),
    ]


def _document(usage: Usage) -> dict[str, Any]:
    premise = {
        key: getattr(usage.premise, key)
        for key in ("area_m2", "people", "households", "floor", "vehicles")
    }
    shown: dict[str, Any] = {
        "from": usage.from_on.isoformat(),
        "to": usage.to_on.isoformat(),
        "used_before": f"{usage.used_before:f}",
        "carried_before": f"{usage.carried_before:f}",
        "premise": {
            key: f"{value:f}" if isinstance(value, Decimal) else value
            for key, value in premise.items()
            if value is not None
        },
    }
    if usage.held_from is not None:
        shown["held_from"] = usage.held_from.isoformat()
    if usage.invoice is not None:
        shown["invoice"] = {
            "amount": f"{usage.invoice.amount:f}",
            "quantity": f"{usage.invoice.quantity:f}",
        }
    if usage.quantity is not None:
        shown["quantity"] = f"{usage.quantity:f}"
    if usage.time_of_use is not None:
        shown["time_of_use"] = {code: f"{part:f}" for code, part in usage.time_of_use.items()}
    if usage.intervals is not None:
        shown["intervals"] = [
            [each.start_at.isoformat(), each.end_at.isoformat(), f"{each.quantity:f}"]
            for each in usage.intervals
        ]
    return shown
