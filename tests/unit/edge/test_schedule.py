"""What is due when: aligned, coalesced, the most overdue first."""

from hypothesis import given
from hypothesis import strategies as st

from edge.schedule import Schedule, next_aligned_us

SECOND_US = 1_000_000
NOON_US = 1_782_907_200_000_000


@given(st.integers(0, 1 << 60), st.integers(1, 86_400))
def test_the_next_instant_is_the_first_multiple_after_now(now_us: int, period_s: int) -> None:
    at_us = next_aligned_us(now_us, period_s)
    assert at_us % (period_s * SECOND_US) == 0
    assert now_us < at_us <= now_us + period_s * SECOND_US


def test_every_device_is_read_at_the_start_then_on_the_minute() -> None:
    schedule = Schedule({"a": 60, "b": 300})
    schedule.start(NOON_US + 7)
    assert schedule.due(NOON_US + 7) == ["a", "b"]
    assert schedule.next_us() == NOON_US + 60 * SECOND_US
    assert schedule.due(NOON_US + 59 * SECOND_US) == []
    assert schedule.due(NOON_US + 60 * SECOND_US) == ["a"]


def test_missed_polls_are_made_once() -> None:
    schedule = Schedule({"a": 60})
    schedule.start(NOON_US)
    schedule.due(NOON_US)
    late_us = NOON_US + 1000 * SECOND_US
    assert schedule.due(late_us) == ["a"]
    assert schedule.due(late_us) == []
    assert schedule.next_us() == NOON_US + 1020 * SECOND_US


def test_the_most_overdue_comes_first() -> None:
    schedule = Schedule({"often": 60, "seldom": 90})
    schedule.align(NOON_US + 1)
    assert schedule.due(NOON_US + 100 * SECOND_US) == ["often", "seldom"]
    schedule = Schedule({"seldom": 90, "often": 60})
    schedule.align(NOON_US + 61 * SECOND_US)
    assert schedule.due(NOON_US + 200 * SECOND_US) == ["seldom", "often"]


def test_aligned_begins_at_or_after_now() -> None:
    schedule = Schedule({"a": 60})
    schedule.align(NOON_US)
    assert schedule.next_us() == NOON_US
    schedule.align(NOON_US + 1)
    assert schedule.next_us() == NOON_US + 60 * SECOND_US


def test_a_clock_that_is_set_back_stops_no_polls() -> None:
    schedule = Schedule({"a": 60})
    future_us = NOON_US + 10 * 365 * 86_400 * SECOND_US
    schedule.start(future_us)
    schedule.due(future_us)
    assert schedule.due(NOON_US + 7) == ["a"]
    assert schedule.next_us() == NOON_US + 60 * SECOND_US


@given(st.lists(st.integers(0, 500), min_size=1, max_size=30))
def test_no_two_polls_fall_into_one_period(waits: list[int]) -> None:
    schedule = Schedule({"a": 60})
    schedule.align(NOON_US)
    now_us, periods = NOON_US, []
    for wait_s in waits:
        now_us += wait_s * SECOND_US
        if schedule.due(now_us):
            periods.append(now_us // (60 * SECOND_US))
    assert len(periods) == len(set(periods))
