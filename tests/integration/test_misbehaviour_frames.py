"""Frames that come late, spoiled, mixed or from somebody else: none is taken for an answer."""

import time
from pathlib import Path

import pytest

from protocols.errors import LinkError, WireError
from protocols.io.modbus_tcp import ModbusTcpLink
from tests.fixtures.polled_site import PolledSite, polled_site

SDM630, UMG = "eastron-sdm630", "janitza-umg604"
DEADLINE_S = 20.0
THREE = {"points": ["voltage_l1", "frequency", "energy_import"]}
PERIODS = {"voltage_l1": 60, "frequency": 120, "energy_import": 900}


async def test_1_a_late_answer_is_not_the_next_registers(tmp_path: Path) -> None:
    # replies of 100 ms leave room for the late one to arrive while the next is awaited
    times = (0, 60, 120)
    faults = ["m-1=slow:100", *(f"m-1=late:250@{at}" for at in times)]
    device = {**THREE, "periods": PERIODS}
    async with polled_site(tmp_path, UMG, faults=faults, serial=True, device=device) as site:
        blocks = {home.count for home in site.gateway.owner._devices["m-1"].meter.blocks}
        assert blocks == {2}
        for _ in times:
            assert await site.poll(due=frozenset({60})) == {}
            for period_s in (120, 900):
                assert site.wrong(await site.poll(due=frozenset({period_s}))) == {}
            site.pass_s(60)
        assert site.gateway.counts.late >= 2
        site.assert_all_right(await site.poll())


async def test_13_stray_bytes_are_skipped_and_counted(tmp_path: Path) -> None:
    async with polled_site(tmp_path, UMG, faults=["m-1=stray-byte"], serial=True) as site:
        for polls in (1, 2):
            site.assert_all_right(await site.poll())
            assert site.gateway.counts.stray >= 5 * polls
        assert site.gateway.counts.spoiled == 0


async def beside_another_master(site: PolledSite, *, frames: int) -> None:
    """Poll until so many frames of the other master were overheard; everything read is right."""
    deadline_s = time.monotonic() + DEADLINE_S
    while site.gateway.counts.foreign < frames:
        assert time.monotonic() < deadline_s, "the other master was not overheard"
        site.assert_all_right(await site.poll())


async def test_14_another_master_does_no_harm(tmp_path: Path) -> None:
    async with polled_site(tmp_path, UMG, faults=["bus-1=foreign-master"], serial=True) as site:
        await beside_another_master(site, frames=4)


async def test_14_another_master_is_told_once(tmp_path: Path) -> None:
    async with polled_site(tmp_path, UMG, faults=["bus-1=foreign-master"], serial=True) as site:
        await beside_another_master(site, frames=6)
        (told,) = site.gateway.told("foreign_master")
        assert told.body["bus"] == "bus-1"


async def connections(site: PolledSite, *, polls: int) -> int:
    """Poll so often, believing nothing; over how many connections it was asked."""
    link = site.gateway.inner
    assert isinstance(link, ModbusTcpLink)
    seen: list[object] = []
    for _ in range(polls):
        assert await site.poll() == {}
        assert link._connection is not None
        assert link._connection.lost
        if all(link._connection is not one for one in seen):
            seen.append(link._connection)
    return len(seen)


@pytest.mark.parametrize("fault", ["wrong-transaction", "no-transaction", "wrong-unit"])
async def test_15_an_answer_to_another_question_closes(tmp_path: Path, fault: str) -> None:
    async with polled_site(tmp_path, UMG, faults=[f"m-1={fault}@0,60"], device=THREE) as site:
        assert await connections(site, polls=3) == 3
        assert isinstance(site.gateway.refusals[-1].error, WireError)
        site.pass_s(60)
        site.assert_all_right(await site.poll())


async def test_15_only_the_transaction_can_be_let_off(tmp_path: Path) -> None:
    faults, bus = ["m-1=no-transaction", "m-2=wrong-unit"], {"any_transaction": True}
    async with polled_site(tmp_path, UMG, UMG, faults=faults, bus=bus, device=THREE) as site:
        for _ in range(2):
            site.assert_all_right(await site.poll())
            assert await site.poll("m-2") == {}


@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "serial"])
async def test_15_no_other_unit_is_believed(tmp_path: Path, *, serial: bool) -> None:
    faults = ["m-1=wrong-unit"]
    async with polled_site(tmp_path, UMG, faults=faults, serial=serial, device=THREE) as site:
        for _ in range(3):
            assert await site.poll() == {}


async def test_16_rtu_frames_over_tcp_are_a_setting(tmp_path: Path) -> None:
    faults = ["bus-1=rtu-framing"]
    async with polled_site(tmp_path, UMG, faults=faults, device=THREE) as site:
        for _ in range(2):
            assert await site.poll() == {}
    bus = {"framing": "rtu"}
    async with polled_site(tmp_path, UMG, faults=faults, bus=bus, device=THREE) as site:
        site.assert_all_right(await site.poll())


async def test_22_a_duplicate_unit_id_is_suspected(tmp_path: Path) -> None:
    faults = ["m-1=duplicate"]
    async with polled_site(tmp_path, UMG, UMG, faults=faults, serial=True, device=THREE) as site:
        for _ in range(8):
            assert site.wrong(await site.poll("m-1")) == {}
            site.assert_all_right(await site.poll("m-2"), "m-2")
        (told,) = site.gateway.told("possible_duplicate")
        assert told.device == "m-1"


@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "serial"])
async def test_24_a_spoiled_answer_is_no_answer(tmp_path: Path, *, serial: bool) -> None:
    faults = ["m-1=spoiled@0,60"]
    async with polled_site(tmp_path, UMG, faults=faults, serial=serial, device=THREE) as site:
        for _ in range(2):
            assert await site.poll() == {}
        assert isinstance(site.gateway.refusals[-1].error, WireError if serial else LinkError)
        site.pass_s(60)
        site.assert_all_right(await site.poll())


async def test_26_a_drifting_clock_spoils_long_frames_only(tmp_path: Path) -> None:
    names = [f"{what}_l{phase}" for what in ("voltage", "current") for phase in (1, 2, 3)]
    device, faults = {"points": names}, ["m-1=drift"]
    async with polled_site(tmp_path, SDM630, faults=faults, serial=True, device=device) as site:
        read = await site.poll()
        assert read == {}
        deadline_s = time.monotonic() + DEADLINE_S
        while len(read) < len(names):
            assert time.monotonic() < deadline_s, "no frames came through"
            read = await site.poll()
            assert site.wrong(read) == {}
        site.assert_all_right(read)
        assert site.gateway.counts.spoiled > 0
        # short frames come through: what was learnt makes them short
        sizes = [asked.block.count for asked in site.gateway.link.asked]
        assert sizes[0] == 12
        assert sizes[-1] <= 6
