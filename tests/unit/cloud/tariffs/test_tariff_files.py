"""Tariff files: what is refused, in words that name file, key, value and what is allowed."""

from datetime import date
from pathlib import Path

import pytest

from cloud.documents import DocumentError
from cloud.tariffs.files import (
    BUILT_IN,
    TariffRefusedError,
    check_billable,
    load_tariff,
    load_tariffs,
    parse_tariff,
    tariff_in_force,
)
from cloud.tariffs.tariff import Cell, SupplyKind, Tariff

GOOD = """
id: t
version: "1"
name: {zh: 名, en: name}
effective_from: 2026-01-01
time_zone: Asia/Shanghai
source: made up for a test
verified: true
service: electricity
uom: kWh
supply_kinds: [collected]
rounding: line
tiers: {period: month, limits: [240, 400.5]}
components: [{code: energy, name: {zh: 电费, en: Electricity}}]
rates:
  - {tier: 1, prices: {energy: 0.48831234}}
  - {tier: 2, prices: {energy: 0.00000001}}
  - {tier: 3, prices: {energy: 0.00000000}}
"""
TOU = """
time_of_use:
  periods:
    - {code: peak, name: {zh: 峰, en: peak}, windows: [{start: 06:00, end: 22:00}]}
    - {code: valley, name: {zh: 谷, en: valley}, windows: [{start: 22:00, end: 06:00}]}
"""


def test_unquoted_numbers_stay_exact_and_survive_json() -> None:
    tariff = parse_tariff(GOOD, name="t.yaml")
    assert format(tariff.prices_of("energy")[Cell(1)], "f") == "0.48831234"
    text = tariff.model_dump_json()
    assert '"0.00000001"' in text
    assert parse_tariff(text, name="t.json") == tariff
    assert Tariff.model_validate_json(text) == tariff


@pytest.mark.parametrize("tariff", load_tariffs(), ids=lambda tariff: tariff.id)
def test_what_is_shipped_is_sourced_unverified_and_survives_json(tariff: Tariff) -> None:
    assert tariff.source
    assert not tariff.verified
    assert parse_tariff(tariff.model_dump_json(), name="t.json") == tariff


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "rounding: line",
            "rounding: up",
            "t.yaml:12: rounding: 'up': allowed are line, component, once",
        ),
        ("rounding: line", "", "t.yaml:2: rounding: missing: this key is required"),
        ("uom: kWh", "uom: kWh\nunit: kWh", "t.yaml:11: unknown key unit; allowed are components"),
        (
            "[collected]",
            "[free]",
            "t.yaml:11: supply_kinds.0: 'free': allowed are collected, resold",
        ),
        ("[collected]", "[]", "t.yaml:11: supply_kinds: allowed is 1 or more"),
        ("2026-01-01", "2026-02-30", "effective_from: '2026-02-30': allowed is a date such as"),
        ("Asia/Shanghai", "Asia/Beijing", "time_zone: 'Asia/Beijing': allowed is an IANA"),
        ("0.48831234", "4,88", "rates.0.prices"),
        ("0.48831234", "1e-3", "rates.0.prices.energy: '1e-3': allowed is a decimal number"),
        ("0.48831234", "-1", "rates.0.prices.energy: -1: allowed is 0 or more"),
        ("[240, 400.5]", "[240, 240]", "tiers.limits: 240, 240: allowed are limits that ascend"),
        ("tier: 3", "tier: 4", "rates: energy: missing tier 3; allowed is one rate for each"),
        ("tier: 3", "tier: 2", "rates: energy: tier 2 stands twice"),
        (
            "{energy: 0.00000001}",
            "{water: 1}",
            "rates.1.prices: water in tier 2: allowed are energy",
        ),
        (
            "{energy: 0.48831234}",
            "{energy: 1}, total: 2",
            "rates.0.total: 2: the prices add up to 1: allowed is that",
        ),
        ("id: t", "id: t\nid: t", "t.yaml:3: not YAML: "),
        ("verified: true", 'verified: "yes"', "verified: 'yes': allowed are true and false"),
        (
            "uom: kWh",
            "uom: kWh\nsplit_rule: by-time",
            "split_rule: by-time: allowed are by-time and pro-rata where",
        ),
        ("uom: kWh", "uom: kWh\nprice_source: invoice", "need components and price_source"),
        (
            "uom: kWh",
            "uom: kWh\neffective_to: 2026-01-01",
            "effective_to: 2026-01-01: allowed is a day after",
        ),
    ],
)
def test_a_fault_names_file_key_value_and_what_is_allowed(old: str, new: str, fault: str) -> None:
    assert old in GOOD
    with pytest.raises(DocumentError) as caught:
        parse_tariff(GOOD.replace(old, new, 1), name="t.yaml")
    assert any(fault in line for line in caught.value.faults), caught.value.faults
    assert all(line.startswith("t.yaml:") for line in caught.value.faults)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("end: 22:00", "end: 21:30", "21:30 is in no period"),
        ("end: 06:00", "end: 06:30", "06:00 is in two periods"),
        ("start: 06:00", "start: 6:00", "'6:00': allowed is a time of day"),
        ("start: 06:00", "start: 24:30", "'24:30': allowed is a time of day"),
        ("code: valley", "code: peak", "peak stands twice"),
    ],
)
def test_periods_cover_the_day_once(old: str, new: str, fault: str) -> None:
    text = (GOOD + TOU).replace(old, new, 1)
    with pytest.raises(DocumentError) as caught:
        parse_tariff(text, name="t.yaml")
    assert any(fault in line for line in caught.value.faults), caught.value.faults


def test_every_fault_has_its_own_line() -> None:
    text = GOOD.replace("rounding: line", "rounding: up").replace("kWh", "''")
    with pytest.raises(DocumentError) as caught:
        parse_tariff(text, name="t.yaml")
    assert [line.split(": ")[1] for line in caught.value.faults] == ["uom", "rounding"]


@pytest.mark.parametrize("text", ["", "- a", "just text", "a: [", "a: !!python/name:os.system"])
def test_what_is_no_tariff_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match=r"^t\.yaml:\d+: "):
        parse_tariff(text, name="t.yaml")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="absent"):
        load_tariff(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"id: \xff")
    with pytest.raises(DocumentError, match="not UTF-8 text at byte 4"):
        load_tariff(tmp_path / "latin.yaml")


def test_the_version_in_force_is_chosen(tmp_path: Path) -> None:
    old = GOOD.replace("effective_from: 2026-01-01", "effective_from: 2020-01-01")
    (tmp_path / "old.yaml").write_text(old + "effective_to: 2026-01-01\n")
    (tmp_path / "new.yaml").write_text(GOOD.replace('"1"', '"2"'))
    tariffs = load_tariffs(tmp_path)
    assert tariff_in_force(tariffs, "t", on=date(2025, 12, 31)).version == "1"
    assert tariff_in_force(tariffs, "t", on=date(2026, 1, 1)).version == "2"
    with pytest.raises(TariffRefusedError, match="not in force on 2019-12-31"):
        tariff_in_force(tariffs, "t", on=date(2019, 12, 31))
    with pytest.raises(TariffRefusedError, match="unknown; allowed are a file or one of t"):
        tariff_in_force(tariffs, "x", on=date(2026, 1, 1))


def test_versions_that_overlap_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("2026-01-01", "2027-01-01"))
    with pytest.raises(DocumentError, match="both in force on 2027-01-01"):
        load_tariffs(tmp_path)


def test_a_real_bill_needs_the_supply_kind_and_a_verified_tariff() -> None:
    verified = parse_tariff(GOOD, name="t.yaml")
    check_billable(verified, SupplyKind.COLLECTED)
    with pytest.raises(TariffRefusedError, match="resold: allowed are collected"):
        check_billable(verified, SupplyKind.RESOLD)
    unverified = load_tariff(BUILT_IN / "cn-beijing-water.yaml")
    with pytest.raises(TariffRefusedError, match="verified: false"):
        check_billable(unverified, SupplyKind.COLLECTED)
    check_billable(unverified, SupplyKind.COLLECTED, allow_unverified=True)
