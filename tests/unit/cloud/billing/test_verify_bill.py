"""The standalone verifier of bills against every golden case and tariffs of every shape."""

import json
import os
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings

from cloud.billing import verify_bill
from cloud.tariffs.allowances import tier_period_start
from cloud.tariffs.files import load_tariffs, parse_tariff, tariff_in_force
from cloud.tariffs.rating import RatingError
from cloud.tariffs.usage_files import parse_usage
from tests.fixtures.bundles import bundle_of_usage
from tests.fixtures.mutations import mutants
from tests.reference.golden_cases import Case, cases
from tests.reference.random_tariffs import documents

CASES = [case for case in cases() if "fault" not in case.expected]
TARIFFS = load_tariffs()
EXAMPLES = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 300
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_golden_bill_is_computed_anew(case: Case) -> None:
    usage = case.usage
    on = parse_usage(json.dumps(usage), name="usage.json").from_on
    raw, _ = bundle_of_usage(tariff_in_force(TARIFFS, case.tariff_id, on=on), usage)
    told = verify_bill.verify(raw)
    assert case.expected["total"] in told[0]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=CHECKS)
@given(documents())
def test_bills_of_every_shape_are_computed_anew(
    case: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    document, usage = case
    tariff = parse_tariff(json.dumps(document, ensure_ascii=False), name="t.json")
    first = date.fromisoformat(usage["from"])
    if tier_period_start(tariff, first) == first:
        # no bill can have used anything before its tier period began
        usage.pop("used_before", None)
    try:
        raw, rated = bundle_of_usage(tariff, usage)
    except RatingError:
        event("refused")
        return
    event(f"lines: {len(rated.line_items)}")
    verify_bill.verify(raw)


CHANGED = ["cn-beijing-gas", "cn-guangzhou-electricity-tou", "cn-lift-fee-floor", "us-pge-e-tou-c"]
NAMES = ("id", "number", "account", "premise", "holder", "posted_at", "revision")
# names, what people wrote down, and facts of the home where they change no line
UNSEEN = {
    *(f"bill.{name}" for name in NAMES),
    *(f"segments[].parts[].{name}" for name in ("meter_point", "meter", "device", "point")),
    *(
        f"segments[].parts[].{side}.reads[].{name}"
        for side in ("start", "end")
        for name in ("lacks", "read_at_us")
    ),
    *(f"segments[].inputs.{name}" for name in ("used_before", "premise.people", "premise.floor")),
    "segments[].inputs.intervals[][]",
}


@pytest.mark.parametrize("tariff_id", CHANGED)
def test_a_changed_field_of_a_bill_read_by_eye_is_seen(tariff_id: str) -> None:
    case = next(case for case in CASES if case.tariff_id == tariff_id)
    on = parse_usage(json.dumps(case.usage), name="usage.json").from_on
    raw, _ = bundle_of_usage(tariff_in_force(TARIFFS, tariff_id, on=on), case.usage)
    unseen: set[str] = set()
    tried = 0
    for path, changed in mutants(raw, renewed=True):
        tried += 1
        try:
            verify_bill.verify(changed)
        except verify_bill.DiffersError:
            continue
        unseen.add(path)
    assert tried > 50
    # a charge that recurs is billed when its cycle says, under a name of its own
    recurring = {"bill.service", "bill.period"} if tariff_id == "cn-lift-fee-floor" else set()
    assert unseen <= UNSEEN | recurring
