"""Screening in pieces is screening as a whole; runs of odd reads; estimates that give way."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.metering.installs import Install, RegisterRead
from cloud.metering.screening import LOOKAHEAD, Rule, beginning, clean, screen

HOUR_US = 3_600_000_000


def meter(**changes: object) -> Install:
    values: dict[str, object] = {"meter_id": "M", "exponent": -2, "installed_at_us": 0}
    values |= {"start_count": 0, "capacity": 10_000, "max_per_hour": 500}
    return Install(**(values | changes))  # type: ignore[arg-type]  # values of a test


def hourly(counts: list[int]) -> list[RegisterRead]:
    return [RegisterRead(HOUR_US * n, count) for n, count in enumerate(counts, 1)]


def judged(counts: list[int], install: Install) -> tuple[list[int], list[tuple[str, int]]]:
    kept, verdicts = clean(hourly(counts), install)
    return [read.count for read in kept], [(v.rule.value, v.read.count) for v in verdicts]


@given(
    st.lists(
        st.one_of(st.integers(0, 60), st.sampled_from([-1, -40, -3_000, 4_000, 99_999])),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 60),
    st.randoms(),
)
def test_screening_in_two_pieces_is_screening_as_a_whole(
    steps: list[int], cut: int, random: Random
) -> None:
    count, counts = 100, []
    for step in steps:
        # an odd read comes and goes
        counts.append(min(max(count + step, 0), 10_100))
        count = count + step if 0 <= step <= 60 else count
    reads = hourly([one % 10_000 if random.random() < 0.9 else 0 for one in counts])
    install = meter()
    whole = screen(reads, install, standing=beginning(install))
    first, second = reads[:cut], reads[cut:]
    left = screen(first, install, standing=beginning(install), ahead=second[:LOOKAHEAD])
    right = screen(second, install, standing=left.standing)
    gone = {verdict.read for verdict in right.verdicts if not verdict.kept}
    assert tuple(r for r in left.kept if r not in gone) + right.kept == whole.kept
    assert sorted([*left.verdicts, *right.verdicts], key=str) == sorted(whole.verdicts, key=str)
    assert right.standing == whole.standing


def test_two_false_zeros_near_the_capacity_are_no_rollover() -> None:
    kept, verdicts = judged([9_950, 0, 0, 9_960, 9_970], meter(start_count=9_900))
    assert kept == [9_950, 9_960, 9_970]
    assert verdicts == [("false-zero", 0)] * 2


@pytest.mark.parametrize("size", [1, 3])
def test_a_spike_of_several_reads_that_comes_back_is_set_aside(size: int) -> None:
    counts = [100, 110, *[5_374] * size, 120, 130]
    kept, verdicts = judged(counts, meter(capacity=None, max_per_hour=None))
    assert kept == [100, 110, 120, 130]
    assert verdicts == [("spike", 5_374)] * size


@pytest.mark.parametrize("limit", [500, None])
def test_what_stands_for_no_value_is_not_available(limit: int | None) -> None:
    install = meter(capacity=None, max_per_hour=limit)
    kept, verdicts = judged([100, 0xFFFFFFFF, 110, 0x7FFFFFFF], install)
    assert kept == [100, 110]
    assert verdicts == [("not-available", 0xFFFFFFFF), ("not-available", 0x7FFFFFFF)]


def test_a_rollover_is_kept_with_its_verdict() -> None:
    install = meter(start_count=9_900)
    done = screen(hourly([9_990, 20]), install, standing=beginning(install))
    assert [(v.rule, v.kept, v.against and v.against.count) for v in done.verdicts] == [
        (Rule.ROLLOVER, True, 9_990)
    ]


def test_a_read_that_somebody_accepted_is_kept() -> None:
    install = meter()
    reads = hourly([100, 5_000, 5_100])
    done = screen(reads, install, standing=beginning(install), accepted={reads[1]})
    assert [read.count for read in done.kept] == [100, 5_000, 5_100]
    assert [verdict.rule for verdict in done.verdicts] == [Rule.ACCEPTED]


def test_estimates_give_way_to_the_register() -> None:
    install = meter()
    real, late = RegisterRead(HOUR_US, 100), RegisterRead(9 * HOUR_US, 250)
    guesses = [RegisterRead(n * HOUR_US, 100 * n, estimated=True) for n in (3, 4)]
    zero = RegisterRead(8 * HOUR_US, 0)
    kept, verdicts = clean([real, *guesses, zero, late], install)
    assert kept == [real, late]
    assert [v.rule.value for v in verdicts] == ["belied", "belied", "false-zero"]
    high = RegisterRead(9 * HOUR_US, 450)
    assert clean([real, *guesses, high], install)[0] == [real, *guesses, high]
