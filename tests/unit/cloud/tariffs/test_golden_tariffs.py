"""Golden cases of every built-in tariff, by both engines."""

import json
from collections import Counter
from decimal import Decimal

import pytest

from cloud.documents import parse_json
from cloud.tariffs.files import TariffRefusedError, load_tariffs, tariff_in_force
from cloud.tariffs.rating import RatingError, rate
from cloud.tariffs.usage_files import parse_usage
from tests.reference.golden_cases import Case, bill_of, cases, tariff_texts
from tests.reference.second_calendar import RefusedError

CASES = cases()
TARIFFS = load_tariffs()
TEXTS = tariff_texts()
LEAST_CASES = 5
Printed = tuple[str, Decimal, Decimal, str]


def printed(case: Case) -> list[Printed]:
    """Give the expected rows; numbers by value, amounts as they are written."""
    return [
        (row["code"], Decimal(row["quantity"]), Decimal(row["unit_price"]), row["amount"])
        for row in case.expected["line_items"]
    ]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_golden_tariff(case: Case) -> None:
    text = (case.folder / "usage.json").read_text(encoding="utf-8")
    usage = parse_usage(text, name="usage.json")
    expected = case.expected
    if "fault" in expected:
        with pytest.raises((RatingError, TariffRefusedError)) as caught:
            rate(tariff_in_force(TARIFFS, case.tariff_id, on=usage.from_on), usage)
        assert expected["fault"] in str(caught.value)
        return
    rated = rate(tariff_in_force(TARIFFS, case.tariff_id, on=usage.from_on), usage)
    found = [
        (item.code, item.quantity, item.unit_price, f"{Decimal(item.amount_fen).scaleb(-2):f}")
        for item in rated.line_items
    ]
    assert found == printed(case)
    assert f"{Decimal(rated.total_fen).scaleb(-2):f}" == expected["total"]
    assert all(item.description and item.description_en for item in rated.line_items)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_second_engine_expects_the_same(case: Case) -> None:
    expected = case.expected
    if "fault" in expected:
        with pytest.raises(RefusedError):
            bill_of(case, TEXTS)
        return
    bill = bill_of(case, TEXTS)
    found = [
        (line.code, line.quantity, line.unit_price, f"{Decimal(line.fen).scaleb(-2):f}")
        for line in bill.lines
    ]
    assert found == printed(case)
    assert f"{Decimal(bill.total_fen).scaleb(-2):f}" == expected["total"]


def test_every_tariff_has_its_cases_and_each_says_its_origin() -> None:
    counted = Counter(case.tariff_id for case in CASES)
    assert set(counted) == {tariff.id for tariff in TARIFFS}
    assert {tariff_id for tariff_id, count in counted.items() if count < LEAST_CASES} == set()
    assert {case.expected["origin"] for case in CASES} <= {"source", "derived"}
    for case in CASES:
        expected = case.expected
        if "fault" not in expected:
            amounts = [Decimal(row["amount"]) for row in expected["line_items"]]
            assert sum(amounts, Decimal(0)) == Decimal(expected["total"]), case


def test_every_built_in_tariff_names_its_schema() -> None:
    for texts in TEXTS.values():
        for text in texts:
            first, _, _ = text.partition("\n")
            assert first == "# yaml-language-server: $schema=tariff.schema.json"


def test_usage_files_are_exact_json() -> None:
    for case in CASES:
        text = (case.folder / "usage.json").read_text(encoding="utf-8")
        assert parse_json(text, name="usage.json") == json.loads(text)
