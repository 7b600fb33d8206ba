"""What a scan says of a whole bus, and the gateway file it proposes."""

from pathlib import Path

import pytest

from devices.profile import profile_ids
from edge.config import RtuBus, TcpBus, load
from edge.recognition import Edition, candidates, editions_of
from edge.scan_report import fields, gateway_file, is_copy, reviewed, row
from edge.scan_unit import Found, Line
from protocols.modbus.plan import Block
from tests.fixtures.scanned_meters import SameWords, ScannedMeter, answers_of

EDITIONS = editions_of(profile_ids())
TCP = Line(TcpBus(id="tcp-1", kind="modbus-tcp", host="10.0.0.1", timeout_ms=300))
SLOW = Line(RtuBus(id="rtu-2400-8N1", kind="modbus-rtu", port="/dev/ttyUSB0", baud=2400))
FAST = Line(RtuBus(id="rtu-9600-8N1", kind="modbus-rtu", port="/dev/ttyUSB0"))


def edition(name: str) -> Edition:
    (found,) = [one for one in EDITIONS if str(one) == name]
    return found


def unit(unit_id: int, meter: ScannedMeter, line: Line = TCP) -> Found:
    answers = answers_of(meter, EDITIONS)
    return Found(
        unit_id,
        line,
        here=True,
        answers=answers,
        candidates=tuple(candidates(EDITIONS, answers)),
        warnings=(),
    )


def spoiled(unit_id: int, line: Line) -> Found:
    warning = f"possible duplicate unit id {unit_id}: checksum"
    return Found(
        unit_id,
        line,
        here=False,
        answers={Block(3, 0, 1): None},
        candidates=(),
        warnings=(warning,),
    )


SDM = unit(3, ScannedMeter(edition("eastron-sdm120"), more=3))


@pytest.mark.parametrize("one", EDITIONS, ids=str)
def test_the_file_is_accepted_as_it_is(one: Edition, tmp_path: Path) -> None:
    found = [unit(1, ScannedMeter(one)), SDM, unit(9, SameWords(one, 0xFFFF))]
    text = gateway_file("gw-1", found, {TCP: "a note"})
    assert text is not None
    file = tmp_path / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    config = load(file)
    assert [(d.unit_id, d.profile, d.variant) for d in config.devices] == [
        (1, one.profile, one.variant),
        (3, "eastron-sdm120", None),
    ]
    assert config.devices[0].id == f"{one.profile}-1"
    assert config.buses[0].timeout_ms == 1000
    assert "# unit 9: answers" in text
    assert "# tcp-1: a note" in text


def test_nothing_recognised_is_no_file() -> None:
    assert gateway_file("gw-1", [], {}) is None
    assert gateway_file("gw-1", [unit(9, SameWords(EDITIONS[0], 0xFFFF))], {}) is None


def test_a_line_has_one_setting(tmp_path: Path) -> None:
    sdm = edition("eastron-sdm120")
    found = [
        unit(1, ScannedMeter(sdm), FAST),
        unit(2, ScannedMeter(sdm, more=1), SLOW),
        unit(3, ScannedMeter(sdm, more=2), SLOW),
    ]
    text = gateway_file("gw-1", found, {})
    assert text is not None
    file = tmp_path / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    config = load(file)
    (bus,) = config.buses
    assert isinstance(bus, RtuBus)
    assert (bus.baud, [device.unit_id for device in config.devices]) == (2400, [2, 3])
    assert "# unit 1: eastron-sdm120; voltage 230.4 V" in text


def test_candidates_that_were_not_taken_are_named() -> None:
    text = gateway_file("gw-1", [unit(1, ScannedMeter(edition("schneider-iem3155")))], {})
    assert text is not None
    assert "might also be schneider-pm5xxx (voltage_l1 230.4 V is in 80..300" in text


def test_one_meter_that_answers_for_all(tmp_path: Path) -> None:
    sdm = edition("eastron-sdm120")
    found, notes = reviewed([unit(i, ScannedMeter(sdm)) for i in (1, 2, 3)], {TCP: 3})
    assert [is_copy(one) for one in found] == [False, True, True]
    assert notes[TCP].startswith("all units answer the same words")
    text = gateway_file("gw-1", found, notes)
    assert text is not None
    file = tmp_path / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    assert [device.unit_id for device in load(file).devices] == [1]


def test_meters_of_one_model_are_no_copies() -> None:
    sdm = edition("eastron-sdm120")
    found, notes = reviewed([unit(i, ScannedMeter(sdm, more=i)) for i in (1, 2, 3)], {TCP: 3})
    assert not any(map(is_copy, found))
    assert notes == {}


def test_zeros_of_all_are_told() -> None:
    found, notes = reviewed([unit(i, SameWords(EDITIONS[0])) for i in (1, 2)], {TCP: 2})
    assert len(found) == 2
    assert notes[TCP].startswith("all units answer zeros to everything")


def test_noise_of_most_units_is_the_line_and_not_the_units() -> None:
    noise = [spoiled(i, FAST) for i in range(1, 7)]
    found, notes = reviewed(noise, {FAST: 10})
    assert found == []
    assert notes[FAST].startswith("6 of 10 unit ids gave bytes but no frame")


def test_one_spoiled_unit_is_that_unit() -> None:
    assert reviewed([spoiled(5, FAST)], {FAST: 10}) == ([spoiled(5, FAST)], {})


def test_noise_at_a_wrong_setting_is_forgotten() -> None:
    good = unit(5, ScannedMeter(edition("eastron-sdm120")), SLOW)
    assert reviewed([spoiled(5, FAST), good], {FAST: 10, SLOW: 10}) == ([good], {})


def test_a_unit_as_json_and_as_a_row() -> None:
    shown = fields(SDM)
    assert list(shown) == [
        "unit_id",
        "bus",
        "profile",
        "variant",
        "evidence",
        "candidates",
        "warnings",
        "words",
    ]
    assert (shown["unit_id"], shown["bus"], shown["profile"]) == (3, "tcp-1", "eastron-sdm120")
    assert isinstance(shown["words"], dict)
    assert shown["words"]["4:0x0000"] == "4366 b333"
    assert row(SDM)[:3] == ("tcp-1", "3", "eastron-sdm120")
    assert fields(spoiled(7, FAST))["profile"] is None
