"""Simulated meters and the demo estate, read without a wire."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from devices.driver import Sample
from devices.modbus_meter import ModbusMeter
from devices.profile import load_profile, profiles_folder
from devices.simulated.faults import parse_fault
from devices.simulated.memory import MemoryLink
from devices.simulated.site import Site, build_site, load_site
from devices.virtual_clock import VirtualClock
from protocols.errors import ConfigError, DeviceError, LinkError
from protocols.modbus.registers import decode

CONFIGS = profiles_folder().parent
SITE = load_site(CONFIGS / "demo" / "qingsong-site.yaml")
GATEWAY = yaml.safe_load((CONFIGS / "gateways" / "qingsong.yaml").read_text(encoding="utf-8"))
START_US = SITE.era.start_us
DAY_US = 86_400_000_000
PLAIN = build_site(SITE)


def meter_of(device: str) -> ModbusMeter:
    (entry,) = [entry for entry in GATEWAY["devices"] if entry["id"] == device]
    ratios = {name: Decimal(ratio) for name, ratio in entry.get("multipliers", {}).items()}
    return ModbusMeter(load_profile(entry["profile"]), entry["unit_id"], entry["points"], ratios)


def read(device: str, at_us: int, site: Site = PLAIN) -> dict[str, Sample]:
    (entry,) = [meter for meter in SITE.meters if meter.id == device]
    clock = VirtualClock(at_us)
    link = MemoryLink(site.on_bus(entry.bus), clock)
    return {sample.point: sample for sample in meter_of(device).read_now(link.answer, clock)}


def register(device: str, at_us: int, site: Site = PLAIN) -> Decimal:
    samples = read(device, at_us, site)
    billed = [sample for sample in samples.values() if sample.billing]
    assert len(billed) == 1
    assert billed[0].value is not None
    return billed[0].value


def test_both_files_tell_of_the_same_devices() -> None:
    simulated = {(m.id, m.bus, m.unit_id, m.profile) for m in SITE.meters}
    polled = {(d["id"], d["bus"], d["unit_id"], d["profile"]) for d in GATEWAY["devices"]}
    assert simulated == polled
    assert len(simulated) == 40 + 3 + 3 + 12
    ratios = {d["id"]: d["multipliers"]["ct"] for d in GATEWAY["devices"] if "multipliers" in d}
    assert ratios == {m.id: str(m.ct) for m in SITE.meters if m.ct > 1}


@pytest.mark.parametrize("entry", GATEWAY["devices"], ids=lambda entry: entry["id"])
def test_every_device_of_the_estate_reads_well(entry: dict[str, str]) -> None:
    samples = read(entry["id"], START_US + 40 * DAY_US + 43_200_000_000)
    assert set(samples) == set(entry["points"])
    assert {sample.quality for sample in samples.values()} == {"good"}


def test_a_register_is_its_load_to_the_last_digit() -> None:
    at_us = START_US + 17 * DAY_US
    load = PLAIN.loads["e-1-101"]
    grown = register("e-1-101", at_us) - register("e-1-101", START_US)
    assert grown == Decimal(load.total(at_us) // 10_000) / 100


@pytest.mark.parametrize(("master", "loss"), [("m-1", "1.004"), ("m-2", "1.02"), ("m-s", "1.004")])
def test_a_master_meters_its_subs_and_the_loss(master: str, loss: str) -> None:
    at_us = START_US + 31 * DAY_US
    subs = sum(
        register(meter.id, at_us) - register(meter.id, START_US)
        for meter in SITE.meters
        if meter.under == master
    )
    primary = 40 * (register(master, at_us) - register(master, START_US))
    # Steps of 0.01 kWh per sub, 0.4 kWh at the master.
    assert abs(primary - subs * Decimal(loss)) <= Decimal("1.0")
    assert subs > 1000


def test_the_leak_runs_at_night_and_only_there() -> None:
    night = START_US + 9 * DAY_US + 3 * 3_600_000_000
    flows = {m.id: read(m.id, night)["flow_rate"].value for m in SITE.meters if m.bus == "rtu-1"}
    assert {device for device, flow in flows.items() if flow} == {"w-1-303"}
    assert flows["w-1-303"] == Decimal("0.030")


def test_what_a_real_meter_refuses() -> None:
    sdm, acrel = PLAIN.meters["e-1-101"], PLAIN.meters["m-1"]
    for meter, function, address, count, code in (
        (sdm, 4, 0x49, 2, 2),
        (sdm, 4, 0x48, 1, 2),
        (sdm, 4, 0x4000, 2, 2),
        (sdm, 4, 0, 62, 3),
        (sdm, 6, 0, 1, 1),
        (acrel, 3, 0x0C, 2, 2),
        (acrel, 3, 0x0A, 3, 2),
        (acrel, 4, 0x0A, 2, 2),
    ):
        with pytest.raises(DeviceError) as caught:
            meter.words(function, address, count, START_US)
        assert caught.value.code == code, (meter.device, hex(address))
    # Between its registers this family answers zeros.
    assert sdm.words(4, 0x46, 6, START_US)[4:] == (0, 0)
    assert sdm.words(4, 0x44, 4, START_US)[:2] == (0, 0)


def test_part_of_a_value_is_that_part() -> None:
    acrel = PLAIN.meters["m-1"]
    high, low = acrel.words(3, 0x0A, 2, START_US)
    assert acrel.words(3, 0x0A, 1, START_US) == (high,)
    assert acrel.words(3, 0x0B, 1, START_US) == (low,)
    assert decode(acrel.words(3, 0x8E, 1, START_US), "uint16", "ABCD") == 40


def with_fault(text: str) -> Site:
    return build_site(SITE, faults=[parse_fault(text, launch_us=START_US)])


def test_zero_once_lasts_one_poll() -> None:
    site = with_fault("e-1-101=zero-once@60")
    normal = register("e-1-101", START_US)
    assert register("e-1-101", START_US, site) == normal
    zeroed = read("e-1-101", START_US + 60_000_000, site)
    assert [sample.count for sample in zeroed.values()] == [0, 0]
    assert register("e-1-101", START_US + 120_000_000, site) >= normal
    assert register("e-1-101", START_US + 180_000_000, site) >= normal


def test_a_block_first_read_after_the_zero_poll_is_right() -> None:
    meter = with_fault("e-1-101=zero-once").meters["e-1-101"]
    plain = PLAIN.meters["e-1-101"].words(4, 0, 2, START_US)
    assert meter.words(4, 0x48, 2, START_US) == (0, 0)
    assert meter.words(4, 0x48, 2, START_US) != (0, 0)
    assert meter.words(4, 0, 2, START_US) == plain != (0, 0)


def test_stuck_for_a_time() -> None:
    site = with_fault("e-1-101=stuck@3600,7200")
    at_us = START_US + 3_600_000_000
    assert read("e-1-101", at_us + 3_600_000_000, site)["energy_import"].count == (
        read("e-1-101", at_us)["energy_import"].count
    )
    after = at_us + 7_200_000_000
    assert register("e-1-101", after, site) == register("e-1-101", after)


def test_offline_and_silent() -> None:
    with pytest.raises(DeviceError) as caught:
        read("e-1-101", START_US, with_fault("e-1-101=offline"))
    assert caught.value.code == 11
    with pytest.raises(LinkError):
        read("e-1-101", START_US, with_fault("e-1-101=silent"))


@pytest.mark.parametrize(
    "text", ["e-1-101", "e-1-101=broken", "=silent", "a=stuck@noon", "a=stuck@1,x"]
)
def test_a_fault_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--fault: .*allowed"):
        parse_fault(text, launch_us=0)


def test_a_fault_from_an_instant() -> None:
    fault = parse_fault("a=stuck@2026-07-01T00:00:00+08:00", launch_us=0)
    assert fault.from_us == 1_782_835_200_000_000


def test_a_fault_of_nobody() -> None:
    with pytest.raises(ConfigError, match="--fault: 'e-9': allowed are e-1-101"):
        with_fault("e-9=stuck")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("bus: b, unit_id: 2", "bus: c, unit_id: 2", "bus: 'c': allowed are"),
        ("unit_id: 2", "unit_id: 1", "given twice"),
        ("under: m", "under: n", r"under: 'n': allowed are \['m'\]"),
        (', loss: "0.01"', "", "loss: belongs to"),
        ("Asia/Shanghai", "Asia/Nowhere", "time_zone: 'Asia/Nowhere'"),
        ("load: home", "load: castle", "'castle'"),
    ],
)
def test_a_site_file_that_is_wrong(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = """
site: s
name: S
time_zone: Asia/Shanghai
epoch_on: 2026-01-01
seed: 1
buses: [{id: b, kind: modbus-tcp}]
meters:
  - {id: m, bus: b, unit_id: 1, profile: acrel-adl400, load: sum, loss: "0.01"}
  - {id: e, bus: b, unit_id: 2, profile: eastron-sdm120, load: home, under: m}
"""
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    assert len(build_site(load_site(path)).meters) == 2
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        load_site(path)
