"""Profiles that ship, and what is wrong with one that doesn't load."""

from pathlib import Path

import pytest

from devices.profile import ProfileError, load_profile, profiles_folder
from devices.profile_schema import SCHEMA_FILE, schema_text
from protocols.modbus.plan import Block, Span
from protocols.modbus.registers import WordOrder

GOOD = """
id: maker-model
maker: Maker
model: Model
medium: electric
source: [a manual]
function: 3
fingerprint: {point: power, range: {min: "1", max: "300"}}
points:
  energy_import: {name: {zh: 电能, en: Energy}, address: "0x10", type: uint32, scale: "0.01",
    uom: kWh, resolution: "0.01", billing: true}
  power: {name: {zh: 功率, en: Power}, address: 0x20, type: int16, uom: W, resolution: "1"}
variants:
  older: {note: an older map, word_order: CDAB, points: {power: {address: 0x30}}}
"""
MARK = '{point: power, range: {min: "1", max: "300"}}'
OLDER = "power: {address: 0x30}"


def test_the_maps_facts() -> None:
    sdm120, xintai = load_profile("eastron-sdm120"), load_profile("xintai-water")
    assert sdm120.span("energy_import") == Span(4, 0x48, 2)
    assert sdm120.rules.even
    assert sdm120.readable() is None
    assert xintai.order("flow_rate") is WordOrder.DCBA
    assert xintai.order("valve_status") is WordOrder.ABCD
    assert Span(3, 5, 2) in (xintai.readable() or [])


def test_an_address_may_be_hexadecimal_text(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD, encoding="utf-8")
    profile = load_profile(path)
    assert profile.points["energy_import"].address == 0x10
    assert profile.points["power"].exponent == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"0.01", billing', '"0.02", billing', "points.energy_import: .*resolution 0.02: allowed"),
        ('scale: "0.01"', "scale: 0.01", 'points.energy_import.scale: 0.01: .*like "0.01"'),
        ("type: uint32", "type: uint31", "points.energy_import.type: 'uint31': .*'float64'"),
        ("address: 0x20", "address: 70000", "points.power.address: 70000: .*65535"),
        ("function: 3", "function: 6", "function: 6: .*3 or 4"),
        ("maker: Maker", "makr: Maker", "makr: 'Maker': Extra"),
        ("billing: true", "billing: true, multiply_by: [ct]", "as the meter shows it"),
        ("uom: W,", "uom: W, sentinels: [0x10000],", "bit patterns of 16 bits"),
        ("medium: electric", "medium: electric\nmedium: water", "'medium' is given twice"),
        ("function: 3", "function: 3\nmax_registers: 1", "points.energy_import: 2 registers"),
        ("function: 3", "function: [", "no valid YAML"),
        ("function: 3", "function: 3\ntimeout_ms: 5", "timeout_ms: 5: .*or equal to 10"),
        (
            "function: 3",
            "function: 3\nforbidden: [{address: 0x0F, count: 2, reason: a trap}]",
            "points.energy_import.address: 0x0010: is forbidden here",
        ),
        ("function: 3", "function: 3\nforbidden: [{address: 1, count: 1}]", "reason: .*required"),
        (MARK, "{point: volt, range: {min: '80', max: '300'}}", "fingerprint.point: 'volt': allow"),
        (MARK, "{point: power, range: {min: '-1', max: '300'}}", "it may not hold 0"),
        (MARK, "{point: power}", "range: a point needs one"),
        (MARK, "{point: power, count: 1, range: {min: '1', max: '3'}}", "brings its own function"),
        (MARK, "{function: 3, address: 11, count: 1}", "exactly one of equals, ascii, point"),
        (MARK, "{function: 3, address: 11, equals: ['0155']}", "need function, address and count"),
        (MARK, "{function: 3, address: 11, count: 2, equals: ['0155']}", "'0155': must be 2 words"),
        (MARK, "{function: 3, address: 11, count: 1, equals: ['0000']}", "no such register"),
        (MARK, "{function: 3, address: 11, count: 1, equals: ['155']}", "equals.0: '155': .*match"),
        (MARK, "{function: 3, address: 11, count: 3, ascii: SOCO}", "count must be 4 or half"),
        (OLDER, "power: {adress: 1}", "variants.older.points.power.adress: 1: Extra"),
        (OLDER, "colour: {address: 1}", "variants.older: point 'colour': allowed are energy_im"),
        (OLDER, "power: {type: float64, address: 65535, scale: '0'}", "variants.older: .*above 0"),
    ],
)
def test_faults_name_file_key_and_value(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "bad.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ProfileError, match=says) as caught:
        load_profile(path)
    assert all(line.startswith(f"{path}: ") for line in caught.value.faults)


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ProfileError, match="'nobody': allowed are abb-b23, acrel-adl400, "):
        load_profile("nobody")


def test_a_variant_changes_what_it_names_and_nothing_else() -> None:
    base = load_profile("chint-dtsu666")
    older = base.variant("older-map")
    assert older.span("energy_import") == Span(3, 0x401E, 2)
    assert base.span("energy_import") == Span(3, 0x101E, 2)
    assert older.points["energy_import"].billing
    assert older.span("voltage_l1") == base.span("voltage_l1")
    assert {span.address for span in older.untouchable()} == {0x2022, 0x4020, 0x402A}
    assert {span.address for span in base.untouchable()} == {0x2022}
    primary = load_profile("acrel-adl400").variant("primary-float")
    assert "energy_import" not in primary.points
    assert primary.points["voltage_l1"].multiply_by == ()
    sample = load_profile("carlo-gavazzi-em340").variant("engineering-sample")
    assert sample.order("voltage_l1") is WordOrder.ABCD


def test_an_unknown_variant_lists_the_known_ones() -> None:
    with pytest.raises(ProfileError, match="'old': allowed for chint-dtsu666 are older-map"):
        load_profile("chint-dtsu666").variant("old")
    with pytest.raises(ProfileError, match="tuf-2000m are none"):
        load_profile("tuf-2000m").variant("old")


@pytest.mark.parametrize(
    ("profile_id", "read", "right", "wrong"),
    [
        ("eastron-sdm120", Block(4, 0, 2), (0x4366, 0x3334), (0x3334, 0x4366)),
        ("eastron-sdm120", Block(4, 0, 2), (0x42A0, 0), (0x429F, 0)),
        ("eastron-sdm120", Block(4, 0, 2), (0x4396, 0), (0x7FC0, 0)),
        ("carlo-gavazzi-em340", Block(4, 0x0B, 1), (341,), (340,)),
        ("carlo-gavazzi-em340", Block(4, 0x0B, 1), (345,), (0x0155, 0)),
        ("socomec-countis-e24", Block(3, 0xC350, 4), (0x53, 0x4F, 0x43, 0x4F), (0x534F, 0x434F)),
        ("xintai-water", Block(3, 7, 1), (0xAA,), (0xAB,)),
        ("tuf-2000m", Block(3, 6, 2), (0x4CCD, 0x44B9), (0x44B9, 0x4CCD)),
    ],
)
def test_fingerprints(
    profile_id: str, read: Block, right: tuple[int, ...], wrong: tuple[int, ...]
) -> None:
    profile = load_profile(profile_id)
    assert profile.identification() == read
    assert profile.recognises(right)
    assert not profile.recognises(wrong)


def test_letters_may_lie_two_to_a_register(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    mark = "{function: 3, address: 11, count: 2, ascii: SOCO}"
    path.write_text(GOOD.replace(MARK, mark), encoding="utf-8")
    assert load_profile(path).recognises((0x534F, 0x434F))
    assert not load_profile(path).recognises((0x53, 0x4F))


def test_a_profile_without_a_fingerprint_recognises_nothing(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD.replace(f"fingerprint: {MARK}\n", ""), encoding="utf-8")
    profile = load_profile(path)
    assert profile.identification() is None
    assert not profile.recognises((0,))


def test_the_schema_file_is_that_of_the_model() -> None:
    file = profiles_folder() / SCHEMA_FILE
    # made by: hutong-edge profile schema > firmware-configs/profiles/profile.schema.json
    assert file.read_text(encoding="utf-8") == schema_text()


def test_every_shipped_profile_names_the_schema_for_editors() -> None:
    for path in profiles_folder().glob("*.yaml"):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        assert first == f"# yaml-language-server: $schema={SCHEMA_FILE}", path
