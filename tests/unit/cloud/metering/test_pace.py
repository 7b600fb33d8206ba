"""What is unlike a meter's own history: fast steps and standstills, week by week."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.metering.pace import WEEK_US, Unlike, first_pace, judge_week, rising

QUARTER_US = 900_000_000
SIZE = WEEK_US // QUARTER_US


def judge_weeks(weeks: list[list[int]], *, capacity: int = 0) -> list[list[Unlike]]:
    """Judge weeks of quarter-hourly steps in counts one after the other."""
    pace, base, found = first_pace(0), (0, 0), []
    for number, steps in enumerate(weeks):
        at = number * WEEK_US + QUARTER_US * np.arange(1, len(steps) + 1, dtype=np.int64)
        totals = base[1] + np.cumsum(np.array(steps, dtype=np.int64))
        counts = totals % capacity if capacity else totals
        unlike, pace = judge_week(at, counts, pace, base=base, capacity=capacity)
        base = (int(at[-1]), int(counts[-1]))
        found.append(unlike)
    return found


def test_a_step_far_above_the_fastest_of_weeks_is_named_and_kept() -> None:
    usual = [3, 0, 1, 2] * (SIZE // 4)
    odd = usual.copy()
    odd[100] = 200
    found = judge_weeks([usual, usual, odd, usual])
    assert [[item.rule.value for item in unlike] for unlike in found] == [
        [],
        [],
        ["spike-history"],
        [],
    ]
    item = found[2][0]
    assert (item.first, item.last) == (100, 100)
    assert dict(item.parameters) == {"usual_per_hour": 12, "factor": 5, "counts": 200}


def test_a_standstill_far_longer_than_usual_is_stuck_until_it_moves() -> None:
    usual = [1, 0] * (SIZE // 2)
    stops = [1] * 96 + [0] * (SIZE - 96)
    still = [0] * SIZE
    found = judge_weeks([usual, usual, stops, still, usual])
    assert [[item.rule.value for item in unlike] for unlike in found] == [
        [],
        [],
        ["stuck"],
        ["stuck"],
        [],
    ]
    assert (found[2][0].first, found[2][0].last) == (95, SIZE - 1)
    assert found[3][0].since_us == 2 * WEEK_US + 96 * QUARTER_US


def test_a_meter_that_seldom_moves_is_never_stuck() -> None:
    seldom = [1] + [0] * (SIZE - 1)
    still = [0] * SIZE
    found = judge_weeks([seldom, still, seldom, still, still, still])
    assert not any(found)


def test_a_rollover_is_no_step_backwards() -> None:
    usual = [30] * SIZE
    assert not any(judge_weeks([usual] * 4, capacity=50_000))


def test_quick_polls_have_no_rate_of_their_own() -> None:
    pace = first_pace(0)
    base = (0, 0)
    for number in range(3):
        seconds = np.arange(1, 7_201, dtype=np.int64) * 1_000_000 + number * WEEK_US
        # one count an hour, which falls in some second
        counts = base[1] + seconds % WEEK_US // 3_600_000_000
        unlike, pace = judge_week(seconds, counts, pace, base=base, capacity=0)
        assert unlike == []
        base = (int(seconds[-1]), int(counts[-1]))
    assert pace.weeks[-1].peak_per_hour <= 4


@given(
    st.lists(st.tuples(st.integers(1, 10_000_000_000), st.integers(-3, 2_000)), min_size=1),
    st.sampled_from([None, 1, 700, 10**9]),
    st.sampled_from([None, 5_000, 10**9]),
)
def test_rising_is_what_reads_one_by_one_would_say(
    steps: list[tuple[int, int]], max_per_hour: int | None, capacity: int | None
) -> None:
    at = np.cumsum(np.array([step[0] for step in steps], dtype=np.int64))
    counts = np.cumsum(np.array([step[1] for step in steps], dtype=np.int64))
    expected, before = True, (0, 0)
    for here, count in zip(at.tolist(), counts.tolist(), strict=True):
        grown = count - before[1]
        expected &= grown >= 0 and count != 1_234 and (capacity is None or count < capacity)
        if max_per_hour is not None:
            expected &= grown <= -(-max_per_hour * (here - before[0]) // 3_600_000_000) + 1
        before = (here, count)
    assert rising(at, counts, base=(0, 0), limits=(capacity, max_per_hour), odd=[1_234]) == expected


@pytest.mark.parametrize("size", [0, 1])
def test_a_week_with_hardly_a_read(size: int) -> None:
    at = np.arange(1, size + 1, dtype=np.int64)
    unlike, pace = judge_week(at, at, first_pace(0), base=(0, 0), capacity=0)
    assert unlike == []
    assert len(pace.weeks) == size
