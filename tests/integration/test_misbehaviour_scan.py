"""Meters that are not what the plan says: what a scan of their bus finds; reads only."""

from pathlib import Path

import pytest

from edge.config import RtuBus
from edge.scan_lines import settings_to_try
from edge.scan_report import reviewed
from edge.scan_unit import Found, Line
from protocols.delivery.records import Quality
from tests.fixtures.polled_site import PolledSite, polled_site

SDM120, SDM630, DTSU666, ADL400 = (
    "eastron-sdm120",
    "eastron-sdm630",
    "chint-dtsu666",
    "acrel-adl400",
)
READS = {1, 2, 3, 4, 43}


def proposed(found: list[Found]) -> dict[int, str]:
    """What is proposed for each unit id."""
    return {one.unit_id: str(one.best.edition) for one in found if one.best is not None}


@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "serial"])
async def test_5_zeros_are_nobody(tmp_path: Path, *, serial: bool) -> None:
    faults = ["m-1=zeros", "bus-1=zeros"]
    async with polled_site(tmp_path, SDM630, SDM120, faults=faults, serial=serial) as site:
        found, _ = await site.scan([SDM630, SDM120, DTSU666], (1, 2, 3))
    assert proposed(found) == {2: SDM120}
    assert [one.unit_id for one in found] == [1, 2, 3]
    for one in (found[0], found[2]):
        assert "answers only zeros" in " ".join(one.warnings)


async def test_16_a_scan_says_that_it_is_rtu_over_tcp(tmp_path: Path) -> None:
    async with polled_site(tmp_path, SDM120, faults=["bus-1=rtu-framing"]) as site:
        found, notes = await site.scan([SDM120], (1, 2))
    assert notes == ["answers RTU frames over TCP, not Modbus TCP"]
    assert proposed(found) == {1: SDM120}
    assert found[0].line.rtu_over_tcp


async def test_17_another_word_order_shows_and_is_proposed(tmp_path: Path) -> None:
    faults = ["m-1=word-order:CDAB", "m-2=word-order:CDAB"]
    async with polled_site(tmp_path, SDM630, SDM120, faults=faults) as site:
        read = await site.poll()
        for phase in ("l1", "l2", "l3"):
            assert read[f"voltage_{phase}"].quality in (Quality.OUT_OF_RANGE, Quality.MISSING)
        assert (
            site.wrong({point: reading for point, reading in read.items() if "voltage" in point})
            == {}
        )
        found, _ = await site.scan([SDM630, SDM120], (1, 2))
    assert proposed(found) == {1: f"{SDM630}/low-word-first"}
    # a profile that has no such variant is at least named
    assert f"{SDM120} would fit in word order CDAB" in found[1].warnings


@pytest.mark.parametrize(
    ("profile", "variant"),
    [(DTSU666, "older-map"), (ADL400, "primary-float"), (SDM630, "low-word-first")],
)
async def test_18_a_variant_is_proposed(tmp_path: Path, profile: str, variant: str) -> None:
    async with polled_site(tmp_path, profile, faults=[f"m-1=variant:{variant}"]) as site:
        found, _ = await site.scan([profile], (1,))
    assert proposed(found) == {1: f"{profile}/{variant}"}


async def test_21_other_line_settings_are_found(tmp_path: Path) -> None:
    faults = ["bus-1=line:19200N1"]
    device = {"points": ["voltage"]}
    async with polled_site(
        tmp_path, SDM120, faults=faults, serial=True, baud=9600, device=device
    ) as site:
        for _ in range(3):
            assert await site.poll() == {}
        assert len(site.gateway.told("device_silent")) == 1
        await site.gateway.link.close()
        found = await first_that_answers(site, "9600,19200")
    assert proposed(found) == {1: SDM120}
    bus = found[0].line.bus
    assert isinstance(bus, RtuBus)
    assert (bus.baud, bus.parity, bus.stop_bits) == (19200, "N", 1)


async def first_that_answers(site: PolledSite, bauds: str) -> list[Found]:
    """Scan with one line setting after the other until one finds somebody."""
    (bus,) = site.config.buses
    for setting in settings_to_try(bauds, "N", "1"):
        change = {"baud": setting.baud, "parity": setting.parity, "stop_bits": setting.stop_bits}
        line = Line(bus.model_copy(update=change))
        found, _ = reviewed((await site.scan([SDM120], (1,), line))[0], {line: 1})
        if any(one.here for one in found):
            return found
    return []


async def test_22_a_scan_suspects_a_duplicate(tmp_path: Path) -> None:
    faults = ["m-1=duplicate"]
    async with polled_site(tmp_path, SDM120, SDM120, faults=faults, serial=True) as site:
        found, _ = await site.scan([SDM120], (1, 2))
    assert proposed(found) == {2: SDM120}
    assert any(text.startswith("possible duplicate unit id 1") for text in found[0].warnings)


@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "serial"])
async def test_25_nothing_is_ever_written(tmp_path: Path, *, serial: bool) -> None:
    profiles = (SDM120, DTSU666, ADL400)
    faults = [f"m-{number}=writable" for number in (1, 2, 3)]
    async with polled_site(tmp_path, *profiles, faults=faults, serial=serial) as site:
        for device in ("m-1", "m-2", "m-3"):
            site.assert_all_right(await site.poll(device), device)
        assert {asked.block.function for asked in site.gateway.link.asked} <= READS
        await site.gateway.link.close()
        found, _ = await site.scan(profiles, (1, 2, 3))
        assert proposed(found) == dict(enumerate(profiles, 1))
        # and the meters would have taken a write
        pdu = bytes((6, 0, 0, 0, 1))
        assert [meter.writes for meter in site.site.meters.values()] == [0, 0, 0]
        assert site.site.meters["m-1"].reply(1, pdu, site.clock.at_us) == pdu
        assert site.site.meters["m-1"].writes == 1
