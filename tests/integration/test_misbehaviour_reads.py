"""Meters that refuse reads which their manual allows: what the gateway learns and remembers."""

from pathlib import Path

import pytest

from devices.profile import Profile, Rules, load_profile
from devices.simulated import site as simulated
from edge import config
from tests.fixtures.polled_site import PolledSite, polled_site

SDM120, SDM630, UMG = "eastron-sdm120", "eastron-sdm630", "janitza-umg604"
ROW = {"points": ["voltage_l1", "voltage_l2", "voltage_l3", "current_l1"]}
APART = {"points": ["voltage_l1", "power_l1", "active_power"]}


def counts(site: PolledSite) -> list[int]:
    """How many registers each read asked for."""
    return [asked.block.count for asked in site.gateway.link.asked]


def even(profile_id: str) -> Profile:
    """The profile as that of a meter which bears no odd read."""
    rules = Rules(even=True, min_gap_ms=50, holes="any")
    return load_profile(profile_id).model_copy(update={"rules": rules})


@pytest.mark.parametrize("fault", ["odd-refused", "odd-shifted"])
@pytest.mark.parametrize("profile", [SDM120, UMG])
async def test_6_no_odd_read_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, fault: str
) -> None:
    # no shipped profile of an even meter has a point at an odd address: one is made of another
    monkeypatch.setattr(config, "load_profile", even)
    monkeypatch.setattr(simulated, "load_profile", even)
    async with polled_site(tmp_path, profile, faults=[f"m-1={fault}"]) as site:
        site.assert_all_right(await site.poll())
        asked = site.gateway.link.asked
        assert asked
        assert [a for a in asked if a.block.address % 2 or a.block.count % 2] == []


@pytest.mark.parametrize("fault", ["odd-refused", "odd-shifted"])
async def test_6_a_late_answer_makes_no_odd_read_believed(tmp_path: Path, fault: str) -> None:
    faults = [f"m-1={fault}", "m-1=late:300"]
    device = {"points": ["energy_import"]}
    async with polled_site(tmp_path, SDM120, faults=faults, serial=True, device=device) as site:
        for _ in range(3):
            assert site.wrong(await site.poll()) == {}
        site.assert_all_right(await site.poll())


async def test_7_holes_between_registers_are_learnt(tmp_path: Path) -> None:
    async with polled_site(tmp_path, SDM630, faults=["m-1=no-holes"], device=APART) as site:
        first = await site.poll()
        assert site.wrong(first) == {}
        assert site.gateway.refusals != []
        site.gateway.link.asked.clear()
        site.assert_all_right(await site.poll())
        assert site.gateway.refusals == []
        assert counts(site) == [14, 2]


@pytest.mark.parametrize("fault", ["span:4", "span-silent:4"])
async def test_8_a_block_limit_is_learnt_and_remembered(tmp_path: Path, fault: str) -> None:
    async with polled_site(tmp_path, SDM630, faults=[f"m-1={fault}"], device=ROW) as site:
        for _ in range(3):
            assert site.wrong(await site.poll()) == {}
        assert site.gateway.refusals != []
        assert 8 in counts(site)
        site.gateway.link.asked.clear()
        site.assert_all_right(await site.poll())
        assert counts(site) == [4, 4]
        # a restart plans within what the journal says
        site.gateway.link.asked.clear()
        await site.gateway.link.close()
        site.gateway = site.restarted()
        site.assert_all_right(await site.poll())
        assert counts(site) == [4, 4]
        assert site.gateway.refusals == []


async def test_8_a_limit_is_learnt_anew_when_the_meter_comes_back(tmp_path: Path) -> None:
    faults = ["m-1=span:4@0,300", "m-1=silent@120,60", "m-1=span:2@300"]
    async with polled_site(tmp_path, SDM630, faults=faults, device=ROW) as site:
        await site.poll()
        site.assert_all_right(await site.poll())
        site.pass_s(120)
        for _ in range(3):
            assert await site.poll() == {}
        assert [event.kind for event in site.gateway.recorder.events] == ["device_silent"]
        site.pass_s(60)
        site.gateway.link.asked.clear()
        await site.poll()
        assert len(site.gateway.told("device_back")) == 1
        await site.poll()
        # the long read is tried again, and refused again
        assert 8 in counts(site)
        site.gateway.link.asked.clear()
        site.assert_all_right(await site.poll())
        assert counts(site) == [4, 4]
        site.pass_s(120)
        await site.poll()
        site.gateway.link.asked.clear()
        site.assert_all_right(await site.poll())
        assert counts(site) == [2, 2, 2, 2]


async def test_8_a_limit_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    faults = ["m-1=span:4@0,60", "m-1=silent@60,60"]
    async with polled_site(tmp_path, SDM630, faults=faults, device=ROW) as site:
        for _ in range(2):
            await site.poll()
        site.pass_s(60)
        for _ in range(3):
            await site.poll()
        site.pass_s(60)
        await site.poll()
        site.gateway.link.asked.clear()
        site.assert_all_right(await site.poll())
        assert counts(site) == [8]


@pytest.mark.parametrize("address", [0x0000, 0x0002, 0x0006])
async def test_9_a_register_that_is_read_alone(tmp_path: Path, address: int) -> None:
    async with polled_site(tmp_path, SDM630, faults=[f"m-1=alone:{address}"], device=ROW) as site:
        assert site.wrong(await site.poll()) == {}
        assert site.gateway.refusals != []
        await site.poll()
        site.gateway.link.asked.clear()
        site.assert_all_right(await site.poll())
        assert site.gateway.refusals == []
