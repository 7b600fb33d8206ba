"""Readings of a wrong clock get their true time from the nearest fix of their boot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from cloud.ingest.dating import Fix, dated, fix_of, is_undated, times_of
from protocols.delivery.records import Event, Quality, Reading

NOW_US = 1_782_864_000_000_000
ROW = Reading("e-1", "energy_import", "kWh", -2, 7, int(Quality.TIME_UNCERTAIN), 5, 1_000_000)


def test_the_true_time_is_that_of_the_fix_and_the_monotonic_clock() -> None:
    row = dated(ROW, [Fix(4_000_000, 1_782_864_000_000_000)])
    assert row.read_at_us == 1_782_864_000_000_000 - 3_000_000
    assert row.quality == Quality.GOOD
    assert (row.count, row.monotonic_us) == (ROW.count, ROW.monotonic_us)
    assert is_undated(ROW)
    assert not is_undated(row)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**12), min_size=1, unique=True))
def test_the_nearest_fix_is_taken(monotonic_us: int, at: list[int]) -> None:
    # each fix is off by its own place, so that the result names the fix
    fixes = [Fix(each, 10**15 + each + number) for number, each in enumerate(sorted(at))]
    row = dated(Reading("e", "p", "u", 0, 1, 5, 0, monotonic_us), fixes)
    used = row.read_at_us - 10**15 - monotonic_us
    nearest = min(abs(each - monotonic_us) for each in at)
    assert abs(sorted(at)[used] - monotonic_us) == nearest


@pytest.mark.parametrize("quality", ["MISSING", "SUSPECT", "OUT_OF_RANGE", "STALE"])
def test_a_doubtful_reading_is_as_doubtful_when_it_is_dated(quality: str) -> None:
    row = structs.replace(ROW, quality=int(Quality[f"{quality}_UNDATED"]))
    assert is_undated(row)
    assert dated(row, [Fix(0, NOW_US)]).quality == Quality[quality]


def test_without_a_fix_there_is_no_time() -> None:
    with pytest.raises(ValueError, match="needs a fix"):
        dated(ROW, [])


@pytest.mark.parametrize(
    ("kind", "body", "known"),
    [
        ("clock", {"wall_us": NOW_US, "error_us": 1, "source": "cloud"}, True),
        ("clock", {"wall_us": NOW_US, "error_us": 1, "source": "\0" + "x" * 99}, True),
        ("clock", {"wall_us": 9, "error_us": 1, "source": "cloud"}, False),
        ("clock", {"wall_us": 1 << 62, "error_us": 1}, False),
        ("clock", {"wall_us": NOW_US, "error_us": 1 << 63}, False),
        ("clock", {"source": "none"}, False),
        ("clock", {"wall_us": "9", "error_us": 1}, False),
        ("sig", {"wall_us": NOW_US, "error_us": 1}, False),
    ],
)
def test_only_a_clock_that_knows_is_a_fix(
    kind: str, body: dict[str, str | int | None], *, known: bool
) -> None:
    fix = fix_of(Event("", kind, 1, 2, body))
    assert (fix is not None) == known
    assert fix_of(Event("", kind, 1, 1 << 60, body)) is None
    if fix is not None:
        assert len(fix.source) <= 16
        assert "\0" not in fix.source


def test_it_may_be_stored_at_the_time_by_any_fix() -> None:
    fixes = [Fix(0, NOW_US), Fix(9_000_000, NOW_US + 9_000_500)]
    assert times_of(ROW, fixes) == {NOW_US + 1_000_000, NOW_US + 1_000_500}
    assert times_of(ROW, []) == set()
    assert times_of(dated(ROW, fixes), []) == {NOW_US + 1_000_000}
