"""Readings of a wrong clock get their true time from the nearest fix of their boot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.ingest.dating import Fix, dated, fix_of, is_undated
from protocols.delivery.records import Event, Quality, Reading

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


def test_without_a_fix_there_is_no_time() -> None:
    with pytest.raises(ValueError, match="needs a fix"):
        dated(ROW, [])


@pytest.mark.parametrize(
    ("kind", "body", "known"),
    [
        ("clock", {"wall_us": 9, "error_us": 1, "source": "cloud"}, True),
        ("clock", {"source": "none"}, False),
        ("clock", {"wall_us": "9", "error_us": 1}, False),
        ("sig", {"wall_us": 9, "error_us": 1}, False),
    ],
)
def test_only_a_clock_that_knows_is_a_fix(
    kind: str, body: dict[str, str | int | None], *, known: bool
) -> None:
    assert (fix_of(Event("", kind, 1, 2, body)) is not None) == known
