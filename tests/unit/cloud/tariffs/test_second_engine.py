"""Rating against the second engine, line by line, on tariffs of every shape."""

import json
import os
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, event, given, settings

from cloud.tariffs.files import parse_tariff
from cloud.tariffs.rating import RatingError, rate
from cloud.tariffs.usage_files import parse_usage
from tests.reference.random_tariffs import documents
from tests.reference.second_calendar import RefusedError
from tests.reference.second_engine import second_bill

# HYPOTHESIS_PROFILE=long: the proof for a release, about half an hour
EXAMPLES = 100_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 300
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=CHECKS)
@given(documents())
def test_two_engines_agree_line_by_line(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
    document, usage = case
    text = json.dumps(document, ensure_ascii=False)
    tariff = parse_tariff(text, name="t.json")
    try:
        second = second_bill(text, usage)
    except RefusedError as error:
        event(f"refused: {error}")
        second = None
    try:
        first = rate(tariff, parse_usage(json.dumps(usage), name="usage.json"))
    except RatingError:
        first = None
    assert (first is None) == (second is None)
    if first is None or second is None:
        return
    event(f"lines: {len(first.line_items)}")
    found = [
        (item.code, Fraction(item.quantity), Fraction(item.unit_price), item.amount_fen)
        for item in first.line_items
    ]
    assert found == [(line.code, line.quantity, line.unit_price, line.fen) for line in second.lines]
    assert first.total_fen == second.total_fen == sum(item.amount_fen for item in first.line_items)
    assert Fraction(first.carried_quantity) == second.carried
