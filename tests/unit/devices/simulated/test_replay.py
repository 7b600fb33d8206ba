"""Recorded flows as loads."""

import os
from pathlib import Path

import pytest

from devices.profile import profiles_folder
from devices.simulated.load import Era
from devices.simulated.replay import ReplayLoad, read_recording
from devices.simulated.site import build_site, load_site
from protocols.errors import ConfigError
from protocols.modbus.registers import decode

DAY_US = 86_400_000_000
ERA = Era(start_us=0, utc_offset_s=0)


def load_of(tmp_path: Path, text: str) -> ReplayLoad:
    path = tmp_path / "flow.csv"
    path.write_text(text, encoding="utf-8")
    return ReplayLoad(read_recording(path), ERA)


def test_a_flow_holds_until_the_next_sample_but_not_for_ever(tmp_path: Path) -> None:
    load = load_of(tmp_path, "100 360\n110 720\n1000 0\n")
    # 360 l/h for 10 s is 1 l, then 720 l/h for at most 15 s is 3 l.
    assert load.total(110_000_000) == 1_000
    assert load.total(125_000_000) == load.total(999_000_000) == 4_000
    assert load.per_hour(105_000_000) == 360_000
    assert load.per_hour(500_000_000) == 0


def test_dirt_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv"
    path.write_text(
        'Time Flow "End time"\n110 36\n100 36\nx y\n105 -3\n106 1e9\n107 nan\n\n110 72\n',
        encoding="utf-8",
    )
    recording = read_recording(path)
    assert (recording.samples, recording.dropped) == (9, 7)
    # 36 l/h over 10 s, then 72 l/h over 15 s.
    assert list(recording.totals) == [0, 100, 400]


def test_an_end_time_is_obeyed(tmp_path: Path) -> None:
    load = load_of(tmp_path, "100 12.0 460\n9000 12.0 9360\n")
    assert load.total(460_000_000) == load.total(8_999_000_000) == 1_200


def test_it_repeats_by_whole_days_and_never_falls(tmp_path: Path) -> None:
    load = load_of(tmp_path, "43200 3600\n43210 3600\n129000 0\n")
    totals = [load.total(second * 1_000_000) for second in range(0, 5 * 86_400, 5)]
    assert totals == sorted(totals)
    assert totals[0] == 0
    # Noon of each day of the cycle has the same water: 25 s of 1 l/s.
    assert load.total(5 * DAY_US) == 5 * 25_000
    assert load.per_hour(3 * DAY_US + 43_205_000_000) == 3_600_000


@pytest.mark.parametrize("text", ["", "nothing here\n", "100 5\n"])
def test_no_recording(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="usable lines"):
        load_of(tmp_path, text)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recording(tmp_path / "none.csv")


@pytest.fixture
def recordings() -> Path:
    folder = os.environ.get("HUTONG_TEST_DATA")
    if not folder:
        pytest.skip("HUTONG_TEST_DATA is not set: it names the folder that holds water-weusedto")
    return Path(folder) / "water-weusedto"


@pytest.mark.parametrize(
    ("name", "litres", "dropped"),
    [
        ("weusedto_feed_Washingmachine.MYD.csv", (400, 700), 0),
        ("weusedto_feed.Toilet.csv", (1_000, 2_000), 1),
        ("weusedto_feed_WholeHouse.MYD.csv", (0, 1), 2_000),
    ],
)
def test_real_recordings_feed_a_meter(
    recordings: Path, name: str, litres: tuple[int, int], dropped: int
) -> None:
    file = load_site(profiles_folder().parent / "demo" / "qingsong-site.yaml")
    recording = read_recording(recordings / name)
    assert recording.dropped >= dropped
    assert litres[0] <= recording.totals[-1] / 1_000 <= litres[1]
    assert list(recording.totals) == sorted(recording.totals)
    load = ReplayLoad(recording, file.era)
    meter = build_site(file, replays={"w-1-101": load}).meters["w-1-101"]
    start, end = (
        decode(meter.words(3, 1, 2, at_us), "float32", "DCBA")
        for at_us in (file.era.start_us, file.era.start_us + 3000 * DAY_US)
    )
    assert end - start == pytest.approx(
        load.total(file.era.start_us + 3000 * DAY_US) / 1e6, abs=0.01
    )
