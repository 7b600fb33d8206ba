"""Golden words of every shipped profile: raw registers as a meter sends them, and their values."""

import json
from pathlib import Path
from typing import Any

import pytest

from devices.driver import Sample
from devices.modbus_meter import ModbusMeter
from devices.point_decoder import decode_words
from devices.profile import Profile, load_profile, profile_ids
from devices.virtual_clock import VirtualClock
from protocols.delivery.records import decimal_text, words_to_bytes, words_to_hex

GOLDEN = Path(__file__).parents[2] / "golden" / "profiles"
CASES = [
    (folder.name, case)
    for folder in sorted(GOLDEN.iterdir())
    for case in json.loads((folder / "words.json").read_text(encoding="utf-8"))
]
# Registers that bills are made from, where they are not energy_import or total_positive alone.
BILLED = {
    # one energy register, whatever its direction
    "orno-we-504": ["energy_total"],
    "orno-we-514": ["energy_total"],
    "peacefair-pzem-016": ["energy_total"],
    # registers per tariff: tariff 1 is all while the tariff input is unused
    "siemens-pac2200": ["energy_import_t1"],
    # these meters' primary map has a total only
    "acrel-adl400 primary-float": ["energy_total"],
}


def golden(profile_id: str, case: str) -> tuple[Profile, dict[str, Any], dict[str, Any]]:
    folder = GOLDEN / profile_id
    given = json.loads((folder / "words.json").read_text(encoding="utf-8"))[case]
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))[case]
    profile = load_profile(profile_id)
    return profile.variant(given["variant"]) if "variant" in given else profile, given, expected


def shown(sample: Sample) -> dict[str, str | None]:
    return {
        "value": decimal_text(sample.count, sample.exponent),
        "uom": sample.uom,
        "quality": sample.quality,
        "words": words_to_hex(words_to_bytes(sample.words)),
    }


@pytest.mark.parametrize(("profile_id", "case"), CASES)
def test_golden_words_decode_to_their_values(profile_id: str, case: str) -> None:
    profile, given, expected = golden(profile_id, case)
    got = {}
    for read in given["reads"]:
        words = tuple(int(word, 16) for word in read["words"].split())
        for sample in decode_words(profile, read["function"], int(read["address"], 0), words):
            got[sample.point] = shown(sample)
    assert got == expected


@pytest.mark.parametrize(("profile_id", "case"), CASES)
def test_a_meter_that_is_read_by_its_plan_says_the_same(profile_id: str, case: str) -> None:
    profile, given, expected = golden(profile_id, case)
    registers: dict[tuple[int, int], int] = {}
    for read in sorted(given["reads"], key=lambda read: len(read["words"]), reverse=True):
        for offset, word in enumerate(read["words"].split()):
            registers[read["function"], int(read["address"], 0) + offset] = int(word, 16)

    def answer(_: int, function: int, address: int, count: int) -> tuple[int, ...]:
        return tuple(registers.get((function, address + place), 0) for place in range(count))

    meter = ModbusMeter(profile, 1, list(expected))
    samples = meter.read_now(answer, VirtualClock(0))
    assert {sample.point: shown(sample) for sample in samples} == expected


@pytest.mark.parametrize("profile_id", profile_ids())
def test_every_profile_has_all_that_a_meter_needs(profile_id: str) -> None:
    profile, _, expected = golden(profile_id, "typical")
    assert set(expected) == set(profile.points)
    assert all(point["quality"] == "good" for point in expected.values())
    assert all(profile.source)
    for name in ["", *profile.variants]:
        edition = profile.variant(name) if name else profile
        billed = [point_id for point_id, point in edition.points.items() if point.billing]
        usual = ["energy_import" if edition.medium == "electric" else "total_positive"]
        assert billed == BILLED.get(f"{profile_id} {name}".strip(), usual)
        assert edition.fingerprint is not None
        assert name == "" or any(
            case.get("variant") == name
            for case in json.loads((GOLDEN / profile_id / "words.json").read_text()).values()
        )
    if any(point.sentinels for point in profile.points.values()):
        _, _, missing = golden(profile_id, "not available")
        assert {point_id for point_id, point in profile.points.items() if point.sentinels} <= set(
            missing
        )
        assert all(point["quality"] == "missing" for point in missing.values())
    # an unplugged or foreign meter that answers 0 is never taken for this model
    read = profile.identification()
    assert read is not None
    assert not profile.recognises((0,) * read.count)
