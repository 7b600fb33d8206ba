"""Meters that say wrong values: what is recorded of them, and with which quality."""

from decimal import Decimal
from pathlib import Path

import pytest

from protocols.delivery.records import Quality, Reading
from tests.fixtures.polled_site import polled_site

SDM120, ADL400, DTSU666 = "eastron-sdm120", "acrel-adl400", "chint-dtsu666"
FEW = {"points": ["voltage", "frequency", "energy_import"]}


async def test_2_zero_once_is_suspect(tmp_path: Path) -> None:
    async with polled_site(tmp_path, SDM120, faults=["m-1=zero-once@60"], device=FEW) as site:
        site.assert_all_right(await site.poll())
        site.pass_s(60)
        zero = await site.poll()
        assert {reading.count for reading in zero.values()} == {0}
        assert zero["energy_import"].quality == Quality.SUSPECT
        assert zero["voltage"].quality == Quality.OUT_OF_RANGE
        site.pass_s(60)
        site.assert_all_right(await site.poll())
        assert site.gateway.recorder.events == []


@pytest.mark.parametrize("profile", [SDM120, ADL400])
async def test_2_zero_once_changes_no_setting(tmp_path: Path, profile: str) -> None:
    async with polled_site(tmp_path, profile, faults=["m-1=zero-once@60"]) as site:
        for _ in range(3):
            await site.poll()
            site.pass_s(60)
        assert site.gateway.recorder.events == []


async def test_3_step_back_is_suspect_and_no_event(tmp_path: Path) -> None:
    async with polled_site(tmp_path, SDM120, faults=["m-1=step-back:1@1"], device=FEW) as site:
        first = await site.poll()
        site.pass_s(1)
        back = (await site.poll())["energy_import"]
        assert back.count == (first["energy_import"].count or 0) - 1
        assert back.quality == Quality.SUSPECT
        site.pass_s(1)
        site.assert_all_right(await site.poll())
        assert site.gateway.told("register_fell") == []


@pytest.mark.parametrize(
    "profile",
    [
        "abb-b23",
        SDM120,
        ADL400,
        DTSU666,
    ],
)
async def test_4_not_available_is_missing(tmp_path: Path, profile: str) -> None:
    async with polled_site(tmp_path, profile, faults=["m-1=not-available@60"]) as site:
        site.assert_all_right(await site.poll())
        site.pass_s(60)
        none = await site.poll()
        assert set(none) == set(site.truth())
        assert {point: (r.quality, r.count) for point, r in none.items()} == dict.fromkeys(
            none, (Quality.MISSING, None)
        )
        assert site.gateway.recorder.events == []


async def test_19_another_ratio_is_told_and_recorded(tmp_path: Path) -> None:
    points = {"points": ["voltage_l1", "energy_import", "ct_ratio"]}
    async with polled_site(tmp_path, ADL400, faults=["m-1=ratio:60@60"], device=points) as site:
        site.assert_all_right(await site.poll())
        for _ in range(3):
            site.pass_s(60)
            after = await site.poll()
            assert after["ct_ratio"].count == 60
        (told,) = site.gateway.recorder.events
        assert (told.kind, told.device) == ("setting_changed", "m-1")
        assert told.body == {"point": "ct_ratio", "before": "1", "after": "60"}


async def test_20_another_meaning_of_the_total_is_told(tmp_path: Path) -> None:
    points = {"points": ["energy_import", "energy_total", "energy_total_mode"]}
    async with polled_site(tmp_path, SDM120, faults=["m-1=setting:3@60"], device=points) as site:
        await site.poll()
        for _ in range(3):
            site.pass_s(60)
            after = await site.poll()
            # raw words travel only with what is billed
            assert [point for point, read in after.items() if read.words] == ["energy_import"]
            assert after["energy_import"].count == site.truth()["energy_import"]
        (told,) = site.gateway.recorder.events
        assert told.kind == "setting_changed"
        assert told.body == {"point": "energy_total_mode", "before": "2", "after": "3"}


@pytest.mark.parametrize("profile", [SDM120, ADL400])
async def test_23_differing_reads_are_read_until_two_agree(tmp_path: Path, profile: str) -> None:
    device = {"points": ["energy_import"], "double_read": True}
    async with polled_site(tmp_path, profile, faults=["m-1=differing@60"], device=device) as site:
        await site.poll()
        for _ in range(10):
            site.pass_s(60)
            assert site.wrong(await site.poll()) == {}


async def test_23_two_reads_that_agree_are_enough(tmp_path: Path) -> None:
    device = {"points": ["energy_import"], "double_read": True}
    async with polled_site(tmp_path, ADL400, device=device) as site:
        site.assert_all_right(await site.poll())
        assert len(site.gateway.link.asked) == 2


async def test_26_a_meter_that_stands_still_is_stale_but_recorded(tmp_path: Path) -> None:
    device = {"points": ["voltage_l1", "voltage_l2", "voltage_l3", "energy_import"]}
    async with polled_site(tmp_path, DTSU666, faults=["m-1=stuck@60"], device=device) as site:
        site.assert_all_right(await site.poll())
        site.pass_s(60)
        stuck = await site.poll()
        polls: list[dict[str, Reading]] = []
        for _ in range(31):
            site.pass_s(120)
            polls.append(await site.poll())
        for poll in polls:
            assert {p: r.count for p, r in poll.items()} == {p: r.count for p, r in stuck.items()}
        assert {r.quality for r in polls[5].values()} == {Quality.GOOD}
        assert {r.quality for r in polls[-1].values()} == {Quality.STALE}


async def test_26_garbage_is_recorded_and_never_good_out_of_range(tmp_path: Path) -> None:
    device = {
        "points": ["voltage", "current", "frequency", "energy_import"],
        "most_per_hour": "50",
    }
    async with polled_site(tmp_path, SDM120, faults=["m-1=garbage"], device=device) as site:
        absurd = 0
        for number in range(9):
            read = await site.poll()
            truth = site.truth()
            assert set(read) == set(truth)
            if number % 3 == 2:
                absurd += 1
                assert read["voltage"].quality == Quality.OUT_OF_RANGE
                assert read["frequency"].quality == Quality.OUT_OF_RANGE
                assert read["energy_import"].quality in (Quality.SUSPECT, Quality.OUT_OF_RANGE)
                assert value(read["voltage"]) > 1e4
            else:
                site.assert_all_right(read)
            site.pass_s(60)
        assert absurd == 3


async def test_26_garbage_is_not_billed_where_no_bound_is_given(tmp_path: Path) -> None:
    async with polled_site(tmp_path, SDM120, faults=["m-1=garbage"], device=FEW) as site:
        for _ in range(9):
            read = await site.poll()
            assert "energy_import" not in site.wrong(read)
            site.pass_s(60)


def value(reading: Reading) -> Decimal:
    assert reading.count is not None
    return Decimal(reading.count).scaleb(reading.exponent)
