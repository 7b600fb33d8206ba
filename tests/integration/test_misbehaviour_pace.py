"""Meters that bear no haste or take their time: how the gateway finds a pace that they bear."""

from pathlib import Path

import pytest

from devices.profile import Profile, load_profile
from devices.simulated import line_faults
from edge import config
from protocols.errors import LinkError
from protocols.io import pacing
from tests.fixtures.polled_site import TIMEOUT_MS, PolledSite, polled_site

UMG = "janitza-umg604"
THREE = {"points": ["voltage_l1", "frequency", "energy_import"]}
MOST_POLLS = 30


async def polls_until_right(site: PolledSite) -> int:
    """Poll until everything is read and right; how often. Nothing wrong may be good before."""
    for number in range(1, MOST_POLLS + 1):
        read = await site.poll()
        assert site.wrong(read) == {}
        if len(read) == len(site.truth()) and not site.gateway.link.asked[-1].error:
            site.assert_all_right(read)
            return number
    raise AssertionError(f"nothing was read in {MOST_POLLS} polls")


async def test_10_the_pause_grows_until_requests_are_heard(tmp_path: Path) -> None:
    pause_s = 0.14
    assert load_profile(UMG).rules.min_gap_ms / 1000 < pause_s
    async with polled_site(
        tmp_path, UMG, faults=["m-1=pause:140"], device=THREE, paced=True
    ) as site:
        assert await polls_until_right(site) > 1
        assert site.gateway.link.gap_s(1) >= pause_s
        site.gateway.link.asked.clear()
        for _ in range(2):
            site.assert_all_right(await site.poll())
        assert site.gateway.refusals == []


@pytest.fixture
def _soon_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # a meter that is up again soon spares the test three seconds each time
    monkeypatch.setattr(line_faults, "_MUTE_S", 0.4)


@pytest.mark.usefixtures("_soon_up")
async def test_11_a_meter_that_reboots_is_asked_more_slowly(tmp_path: Path) -> None:
    faults = ["m-1=reboots:200"]
    async with polled_site(tmp_path, UMG, faults=faults, device=THREE, paced=True) as site:
        assert site.gateway.link.gap_s(1) < 0.2
        assert await polls_until_right(site) > 1
        assert site.gateway.link.gap_s(1) >= 0.2
        site.gateway.link.asked.clear()
        for _ in range(2):
            site.assert_all_right(await site.poll())
        assert site.gateway.refusals == []


@pytest.mark.usefixtures("_soon_up")
async def test_11_a_meter_is_not_made_to_reboot_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as if each poll had 200 reads
    monkeypatch.setattr(pacing, "_PATIENT_FOR", 3)
    faults = ["m-1=reboots:100"]
    async with polled_site(tmp_path, UMG, faults=faults, device=THREE, paced=True) as site:
        await polls_until_right(site)
        for _ in range(3):
            # once more it may be found out
            await site.poll()
        await polls_until_right(site)
        for _ in range(4):
            site.assert_all_right(await site.poll())


def patient(profile_id: str) -> Profile:
    """The profile with the patience that a slow meter's has."""
    timeout_ms = load_profile("carlo-gavazzi-em340").timeout_ms
    assert timeout_ms == 600
    return load_profile(profile_id).model_copy(update={"timeout_ms": timeout_ms})


@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "serial"])
async def test_12_a_slow_meter_gets_its_profiles_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, serial: bool
) -> None:
    slow_ms = 300
    assert slow_ms > TIMEOUT_MS
    faults = [f"m-1=slow:{slow_ms}"]
    async with polled_site(tmp_path, UMG, faults=faults, serial=serial, device=THREE) as site:
        assert await site.poll() == {}
        assert isinstance(site.gateway.link.asked[-1].error, LinkError)
    monkeypatch.setattr(config, "load_profile", patient)
    async with polled_site(tmp_path, UMG, faults=faults, serial=serial, device=THREE) as site:
        site.assert_all_right(await site.poll())
        assert site.gateway.refusals == []


async def test_12_a_meter_that_answers_at_once_is_heard(tmp_path: Path) -> None:
    async with polled_site(tmp_path, UMG, faults=["m-1=quick"], serial=True) as site:
        for _ in range(3):
            site.assert_all_right(await site.poll())
        assert site.gateway.refusals == []
        assert (site.gateway.counts.stray, site.gateway.counts.silent) == (0, 0)
