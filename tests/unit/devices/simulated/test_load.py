"""Loads: plausible, monotone, the same everywhere."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.simulated.load import ConstantLoad, Era, JoinedLoad, shaped_load, summed_load

DAY_US = 86_400_000_000
# Midnight of 1 September 2025 in Shanghai.
ERA = Era(start_us=1_756_656_000_000_000 - 28_800_000_000, utc_offset_s=28_800)
HOME = shaped_load("home", ERA, seed=1, device="e-1-101")
WATER = shaped_load("water-home", ERA, seed=1, device="w-1-101")
instants = st.integers(ERA.start_us - DAY_US, ERA.start_us + 200 * DAY_US)

OTHER_PROCESS = """
from devices.simulated.load import Era, shaped_load
import sys
era = Era(start_us=int(sys.argv[1]), utc_offset_s=28_800)
load = shaped_load(sys.argv[2], era, seed=1, device=sys.argv[3])
print(*(load.total(int(at)) for at in sys.argv[4:]))
"""


@pytest.mark.parametrize("device", ["a", "b", "c", "d", "e"])
@pytest.mark.parametrize(("shape", "low", "high"), [("home", 150, 450), ("water-home", 6, 18)])
def test_a_month_is_plausible(shape: str, low: int, high: int, device: str) -> None:
    load = shaped_load(shape, ERA, seed=7, device=device)
    for month in range(12):
        start = ERA.start_us + month * 30 * DAY_US
        assert low <= (load.total(start + 30 * DAY_US) - load.total(start)) / 1e6 <= high


@given(instants, st.integers(0, 10 * DAY_US))
def test_a_register_never_falls(at_us: int, later_us: int) -> None:
    for load in (HOME, WATER):
        assert load.total(at_us) <= load.total(at_us + later_us)


@given(instants)
def test_power_is_the_slope(at_us: int) -> None:
    slot_us = 900_000_000
    at_us -= (at_us - ERA.start_us) % slot_us
    grown = HOME.total(at_us + slot_us // 2) - HOME.total(at_us)
    assert abs(grown - HOME.per_hour(at_us) // 8) <= 1


def test_nobody_draws_water_between_two_and_four() -> None:
    for day in range(60):
        night = ERA.start_us + day * DAY_US + 2 * 3_600_000_000
        assert WATER.total(night + 2 * 3_600_000_000) == WATER.total(night)


def test_another_process_has_the_same_registers() -> None:
    at = [ERA.start_us + day * DAY_US + 12_345_678 for day in (0, 1, 100, 400)]
    for shape in ("home", "pump"):
        ours = shaped_load(shape, ERA, seed=1, device="x")
        # Reached in another order: the last instant first.
        expected = [ours.total(at_us) for at_us in reversed(at)]
        shown = subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, str(ERA.start_us), shape, "x", *map(str, at)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert [int(total) for total in shown.split()] == expected[::-1]


@given(instants)
def test_a_master_is_its_subs_and_the_loss(at_us: int) -> None:
    subs = [shaped_load("home", ERA, seed=1, device=name) for name in "ab"]
    master = summed_load(subs, ERA, loss_ppm=20_000)
    expected = sum(sub.total(at_us) for sub in subs) * 1.02
    assert master.total(at_us) == pytest.approx(expected, abs=4)


def test_a_leak_runs_beside_the_taps() -> None:
    leak = ConstantLoad(per_hour=30_000, from_us=ERA.start_us + DAY_US)
    both = JoinedLoad([WATER, leak])
    assert both.total(ERA.start_us + DAY_US) == WATER.total(ERA.start_us + DAY_US)
    at_us = ERA.start_us + 11 * DAY_US
    assert both.total(at_us) - WATER.total(at_us) == 240 * 30_000
    assert both.per_hour(at_us) - WATER.per_hour(at_us) == 30_000


def test_seed_and_device_make_a_difference() -> None:
    at_us = ERA.start_us + 30 * DAY_US
    others = {
        shaped_load("home", ERA, seed=seed, device=device).total(at_us)
        for seed, device in ((1, "a"), (1, "b"), (2, "a"))
    }
    assert len(others) == 3
