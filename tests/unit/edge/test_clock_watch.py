"""Where the clock stands is journaled when it is news, and then only."""

from edge.clock import AGREED_US, SystemClock
from edge.clock_watch import AGAIN_US, ClockWatch
from edge.recorder import Recorder
from protocols.delivery.records import Event
from tests.fixtures.delivery import START_US, OpenJournal

YEAR_US = 365 * 86_400 * 1_000_000


class HandClock(SystemClock):
    """A clock whose hands and certainty are set by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.wall_us = START_US
        self.passed_us = 0
        self.disciplined = False

    def now_us(self) -> int:
        return self.wall_us

    def monotonic_us(self) -> int:
        return self.passed_us

    def is_certain(self) -> bool:
        return self.disciplined or self._agreed_us is not None

    def pass_us(self, more_us: int) -> None:
        self.wall_us += more_us
        self.passed_us += more_us


class Noted(Recorder):
    """Keeps the events."""

    def __init__(self, journal: object) -> None:
        self.journal = journal  # type: ignore[assignment]  # only its boot id is read
        self.events: list[Event] = []

    async def note(self, event: Event) -> None:
        self.events.append(event)


def watch(open_journal: OpenJournal) -> tuple[HandClock, Noted, ClockWatch]:
    clock, recorder = HandClock(), Noted(open_journal())
    return clock, recorder, ClockWatch(clock, recorder)


async def test_a_clock_that_is_set_right_by_years(open_journal: OpenJournal) -> None:
    clock, recorder, hands = watch(open_journal)
    await hands.look()
    for _ in range(100):
        clock.pass_us(1_000_000)
        await hands.look()
    (first,) = recorder.events
    assert (first.kind, first.body["source"]) == ("clock", "none")
    assert "wall_us" not in first.body
    clock.wall_us += 5 * YEAR_US
    clock.disciplined = True
    await hands.look()
    fixed = recorder.events[1]
    assert fixed.body["source"] == "kernel"
    assert fixed.body["wall_us"] == clock.wall_us
    assert fixed.monotonic_us == 100_000_000
    assert fixed.body["boot_id"] == recorder.journal.boot_id.hex()
    clock.pass_us(1_000_000)
    await hands.look()
    assert len(recorder.events) == 2


async def test_each_step_is_noted_both_ways(open_journal: OpenJournal) -> None:
    clock, recorder, hands = watch(open_journal)
    clock.disciplined = True
    await hands.look()
    for step_us in (YEAR_US, -2 * YEAR_US, 900_000):
        clock.wall_us += step_us
        await hands.look()
    # the last is no step: NTP pulls a clock like that
    assert len(recorder.events) == 3


async def test_the_clouds_time_is_noted_where_ours_is_wrong(open_journal: OpenJournal) -> None:
    clock, recorder, hands = watch(open_journal)
    clock.compare(START_US + YEAR_US)
    clock.pass_us(3_000_000)
    await hands.look()
    (told,) = recorder.events
    assert told.body["source"] == "cloud"
    assert told.body["wall_us"] == START_US + YEAR_US + 3_000_000
    assert told.body["error_us"] == AGREED_US
    clock.pass_us(AGAIN_US - 1)
    await hands.look()
    assert len(recorder.events) == 1
    clock.pass_us(1)
    await hands.look()
    assert len(recorder.events) == 2
