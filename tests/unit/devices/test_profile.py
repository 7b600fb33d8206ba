"""Profiles that ship, and what is wrong with one that doesn't load."""

from pathlib import Path

import pytest

from devices.profile import ProfileError, load_profile, profile_ids
from protocols.modbus.plan import Span
from protocols.modbus.registers import WordOrder

GOOD = """
id: maker-model
maker: Maker
model: Model
medium: electric
source: [a manual]
function: 3
points:
  energy_import: {name: {zh: 电能, en: Energy}, address: "0x10", type: uint32, scale: "0.01",
    uom: kWh, resolution: "0.01", billing: true}
  power: {name: {zh: 功率, en: Power}, address: 0x20, type: int16, uom: W, resolution: "1"}
"""


@pytest.mark.parametrize("profile_id", profile_ids())
def test_every_shipped_profile_bills_one_register(profile_id: str) -> None:
    profile = load_profile(profile_id)
    billed = [point_id for point_id, point in profile.points.items() if point.billing]
    assert billed == ["energy_import" if profile.medium == "electric" else "total_positive"]
    assert profile.points[billed[0]].exponent <= 0


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
    with pytest.raises(ProfileError, match="'nobody': allowed are acrel-adl400, "):
        load_profile("nobody")
