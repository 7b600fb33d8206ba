"""What is due when: aligned, coalesced, the most overdue first."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.schedule import Due, Schedule, next_aligned_us

SECOND_US = 1_000_000
NOON_US = 1_782_907_200_000_000


def names(schedule: Schedule, now_us: int) -> list[str]:
    return [due.device for due in schedule.due(now_us)]


@given(st.integers(0, 1 << 60), st.integers(1, 86_400))
def test_the_next_instant_is_the_first_multiple_after_now(now_us: int, period_s: int) -> None:
    at_us = next_aligned_us(now_us, period_s)
    assert at_us % (period_s * SECOND_US) == 0
    assert now_us < at_us <= now_us + period_s * SECOND_US


def test_every_device_is_read_at_the_start_then_on_the_minute() -> None:
    schedule = Schedule({"a": (60,), "b": (300,)})
    schedule.start(NOON_US + 7)
    assert names(schedule, NOON_US + 7) == ["a", "b"]
    assert schedule.next_us() == NOON_US + 60 * SECOND_US
    assert names(schedule, NOON_US + 59 * SECOND_US) == []
    assert names(schedule, NOON_US + 60 * SECOND_US) == ["a"]


def test_missed_polls_are_made_once() -> None:
    schedule = Schedule({"a": (60,)})
    schedule.start(NOON_US)
    names(schedule, NOON_US)
    late_us = NOON_US + 1000 * SECOND_US
    assert names(schedule, late_us) == ["a"]
    assert names(schedule, late_us) == []
    assert schedule.next_us() == NOON_US + 1020 * SECOND_US


def test_the_most_overdue_comes_first() -> None:
    schedule = Schedule({"often": (60,), "seldom": (90,)})
    schedule.align(NOON_US + 1)
    assert names(schedule, NOON_US + 100 * SECOND_US) == ["often", "seldom"]
    schedule = Schedule({"seldom": (90,), "often": (60,)})
    schedule.align(NOON_US + 61 * SECOND_US)
    assert names(schedule, NOON_US + 200 * SECOND_US) == ["seldom", "often"]


def test_aligned_begins_at_or_after_now() -> None:
    schedule = Schedule({"a": (60,)})
    schedule.align(NOON_US)
    assert schedule.next_us() == NOON_US
    schedule.align(NOON_US + 1)
    assert schedule.next_us() == NOON_US + 60 * SECOND_US


def test_a_clock_that_is_set_back_stops_no_polls() -> None:
    schedule = Schedule({"a": (60,)})
    future_us = NOON_US + 10 * 365 * 86_400 * SECOND_US
    schedule.start(future_us)
    names(schedule, future_us)
    assert names(schedule, NOON_US + 7) == ["a"]
    assert schedule.next_us() == NOON_US + 60 * SECOND_US


@given(st.lists(st.integers(0, 500), min_size=1, max_size=30))
def test_no_two_polls_fall_into_one_period(waits: list[int]) -> None:
    schedule = Schedule({"a": (60,)})
    schedule.align(NOON_US)
    now_us, periods = NOON_US, []
    for wait_s in waits:
        now_us += wait_s * SECOND_US
        if names(schedule, now_us):
            periods.append(now_us // (60 * SECOND_US))
    assert len(periods) == len(set(periods))


@dataclass
class Bus:
    """A simulated bus: living devices take `read_us`, dead ones a whole timeout."""

    schedule: Schedule
    dead: set[str]
    read_us: int
    timeout_us: int
    reads: Counter[str] = field(default_factory=Counter)
    probe_us: int = 0

    def run(self, begin_us: int, end_us: int) -> None:
        now_us = begin_us
        while now_us < end_us:
            due = self.schedule.take(now_us)
            if due is None:
                now_us = max(now_us + 1, self.schedule.next_us())
                continue
            device = due.device
            if device in self.dead:
                now_us += self.timeout_us
                self.probe_us += self.timeout_us
                self.schedule.failed(device, now_us, self.timeout_us)
            else:
                now_us += self.read_us
                self.reads[device] += 1
                self.schedule.answered(device, now_us)


@pytest.mark.parametrize(("period_s", "timeout_us"), [(10, SECOND_US), (60, 3 * SECOND_US)])
def test_ten_dead_of_32_cost_the_living_nothing(period_s: int, timeout_us: int) -> None:
    names_of_32 = [f"d{number}" for number in range(32)]
    bus = Bus(
        Schedule(dict.fromkeys(names_of_32, (period_s,))),
        set(names_of_32[::3][:10]),
        60_000,
        timeout_us,
    )
    bus.schedule.start(NOON_US)
    bus.run(NOON_US, NOON_US + 600 * SECOND_US)
    # ten minutes to find out who is dead; then an hour is measured
    bus.reads.clear()
    bus.probe_us = 0
    begin_us = NOON_US + 600 * SECOND_US
    bus.run(begin_us, begin_us + 3600 * SECOND_US)
    wanted = 3600 // period_s
    living = [name for name in names_of_32 if name not in bus.dead]
    assert min(bus.reads[name] for name in living) >= 0.99 * wanted
    assert bus.probe_us <= 0.05 * 3600 * SECOND_US
    assert bus.probe_us > 0


def test_a_device_that_comes_back_is_found_and_scheduled_again() -> None:
    bus = Bus(Schedule({"a": (60,), "b": (60,)}), {"b"}, 60_000, SECOND_US)
    bus.schedule.start(NOON_US)
    bus.run(NOON_US, NOON_US + 600 * SECOND_US)
    bus.dead.clear()
    bus.run(NOON_US + 600 * SECOND_US, NOON_US + 2 * 3600 * SECOND_US)
    assert bus.reads["b"] >= 60
    assert bus.schedule.next_us() % (60 * SECOND_US) == 0


def test_the_longest_backoff_is_an_hour() -> None:
    schedule = Schedule({"a": (60,)})
    schedule.start(NOON_US)
    for _ in range(40):
        schedule.take(NOON_US)
        schedule.failed("a", NOON_US, SECOND_US)
    assert schedule.next_us() == NOON_US + 3600 * SECOND_US


@given(st.lists(st.tuples(st.integers(1, 600), st.booleans()), min_size=1, max_size=12))
def test_a_bus_with_room_starves_nobody(devices: list[tuple[int, bool]]) -> None:
    periods = {f"d{index}": 10 + period for index, (period, _) in enumerate(devices)}
    dead = {f"d{index}" for index, (_, is_dead) in enumerate(devices) if is_dead}
    bus = Bus(Schedule({name: (each,) for name, each in periods.items()}), dead, 10_000, SECOND_US)
    bus.schedule.start(NOON_US)
    bus.run(NOON_US, NOON_US + 3600 * SECOND_US)
    for name in periods.keys() - dead:
        assert bus.reads[name] >= 3600 // periods[name] - 3


def test_rounds_that_fall_together_are_one_poll() -> None:
    schedule = Schedule({"a": (60, 300)})
    schedule.align(NOON_US)
    assert schedule.take(NOON_US) == Due("a", frozenset({60, 300}))
    assert schedule.take(NOON_US) is None
    assert schedule.take(NOON_US + 60 * SECOND_US) == Due("a", frozenset({60}))
    # three polls were missed: what they would have read is read once
    assert schedule.take(NOON_US + 310 * SECOND_US) == Due("a", frozenset({60, 300}))
    assert schedule.next_us() == NOON_US + 360 * SECOND_US


def test_what_is_billed_comes_first_at_the_quarter_of_an_hour() -> None:
    schedule = Schedule({"a": (30,), "b": (900,), "c": (60,)}, billing=frozenset({"b"}))
    schedule.align(NOON_US)
    assert names(schedule, NOON_US) == ["b", "a", "c"]


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.integers(1, 90), min_size=1, unique=True), min_size=1
    ),
    st.lists(st.integers(0, 200), min_size=1, max_size=40),
)
def test_every_round_is_taken_once_in_each_of_its_periods(
    periods: dict[str, list[int]], waits: list[int]
) -> None:
    schedule = Schedule(periods)
    schedule.align(NOON_US)
    now_us, wanted = NOON_US - 1, {(name, p): 0 for name, each in periods.items() for p in each}
    for wait_s in waits:
        before_us, now_us = now_us, now_us + wait_s * SECOND_US
        taken = [(due.device, p) for due in schedule.due(now_us) for p in due.periods]
        crossed = [
            (name, p)
            for name, p in wanted
            if now_us // (p * SECOND_US) > before_us // (p * SECOND_US)
        ]
        assert sorted(taken) == sorted(crossed)


def test_a_bus_without_devices_waits() -> None:
    schedule = Schedule({})
    schedule.start(NOON_US)
    assert schedule.take(NOON_US) is None
    assert schedule.next_us() > NOON_US
