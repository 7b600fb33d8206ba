"""Events of a meter point: what they leave standing, and that consumption follows them."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.metering.boundaries import StraightLine
from cloud.metering.events import (
    EventError,
    EventKind,
    MeterEvent,
    MeterParts,
    RunRule,
    check_new,
    timeline,
)
from cloud.metering.installs import RegisterRead
from cloud.metering.registers import kept_consumption

DAY_US = 24 * 3_600_000_000
PARTS = MeterParts(meter_id="A", exponent=-2, capacity=100_000, max_per_hour=1_000)


def event(number: int, kind: EventKind, day: int, **values: object) -> MeterEvent:
    """Give an event of a day."""
    return MeterEvent(id=number, kind=kind, at_us=day * DAY_US, by="f", why="w", **values)  # type: ignore[arg-type]  # values of a test


def hung() -> MeterEvent:
    return event(1, EventKind.INSTALL, 0, parts=PARTS, after_count=10)


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[MeterEvent], dict[str, list[RegisterRead]], Decimal]:
    """Events one a day, the true reads of each segment, and the quantity that was used."""
    events, count, factor = [hung()], 10, Decimal(1)
    total, reads = Decimal(0), {}
    for day in range(1, draw(st.integers(2, 9))):
        used = draw(st.integers(0, 500))
        total += used * factor
        at_us = day * DAY_US - DAY_US // 2
        half = (count + used // 2) % 100_000
        reads.setdefault(str(day - 1), []).append(RegisterRead(at_us, half))
        before = (count + used) % 100_000
        kind = draw(st.sampled_from([*EventKind][2:7]))
        values: dict[str, object] = {"before_count": before, "after_count": before}
        if kind in (EventKind.RESET, EventKind.REPLACE, EventKind.TEST):
            values["after_count"] = draw(st.integers(0, 99_999))
        if kind is EventKind.REPLACE:
            factor = Decimal(draw(st.sampled_from(["1", "40", "1.5"])))
            values["parts"] = replace(PARTS, meter_id=f"M{day}", multiplier=factor)
        if kind is EventKind.MULTIPLIER:
            values |= {"after_count": None, "multiplier": Decimal(draw(st.integers(1, 80)))}
            factor = values["multiplier"]  # type: ignore[assignment]  # just made
        if kind is EventKind.TEST:
            values |= {"until_us": day * DAY_US, "rule": RunRule.FREE}
        events.append(event(day + 1, kind, day, **values))
        count = before if values["after_count"] is None else int(str(values["after_count"]))
    return events, reads, total.scaleb(-2)


@given(lives(), st.data())
def test_consumption_follows_the_events_and_telescopes(
    life: tuple[list[MeterEvent], dict[str, list[RegisterRead]], Decimal], data: st.DataObject
) -> None:
    events, reads, total = life
    segments = timeline(data.draw(st.permutations(events)))
    assert len(segments) == len(events)
    end_us = events[-1].at_us
    known = [
        (segment.install, reads.get(str(index), []), StraightLine())
        for index, segment in enumerate(segments)
    ]
    assert kept_consumption(known, 0, end_us).quantity == total
    cut = data.draw(st.integers(1, end_us - 1))
    parts = [kept_consumption(known, 0, cut), kept_consumption(known, cut, end_us)]
    assert sum(part.quantity for part in parts) == total


def test_a_rollover_is_counted_whatever_the_limit() -> None:
    turn = event(2, EventKind.ROLLOVER, 5, before_count=99_990, after_count=5)
    segments = timeline([hung(), turn])
    known = [
        (segments[0].install, [RegisterRead(DAY_US, 99_000)], StraightLine()),
        (segments[1].install, [RegisterRead(7 * DAY_US, 30)], StraightLine()),
    ]
    assert kept_consumption(known, DAY_US, 7 * DAY_US).quantity == Decimal("10.30")


def test_a_test_run_that_the_customer_bears_changes_nothing() -> None:
    values = {"before_count": 20, "after_count": 90, "until_us": 4 * DAY_US}
    run = event(2, EventKind.TEST, 3, rule=RunRule.BILLED, **values)
    assert len(timeline([hung(), run])) == 1


@pytest.mark.parametrize("days", [(4, 8), (4, 10), (2, 8), (5, 7)])
def test_a_long_free_test_run_is_no_missing_meter(days: tuple[int, int]) -> None:
    values = {"before_count": 20, "after_count": 90, "until_us": 8 * DAY_US}
    segments = timeline([hung(), event(2, EventKind.TEST, 4, rule=RunRule.FREE, **values)])
    reads = [[], [RegisterRead(10 * DAY_US, 95)]]
    known = [
        (segment.install, part, StraightLine())
        for segment, part in zip(segments, reads, strict=True)
    ]
    used = kept_consumption(known, days[0] * DAY_US, days[1] * DAY_US).quantity
    assert used == {(4, 8): 0, (4, 10): Decimal("0.05"), (2, 8): Decimal("0.05"), (5, 7): 0}[days]


def test_a_correction_supersedes_and_a_void_takes_away() -> None:
    wrong = event(2, EventKind.RESET, 3, before_count=50, after_count=0)
    right = event(3, EventKind.RESET, 4, before_count=60, after_count=0, supersedes=2)
    segments = timeline([hung(), wrong, right])
    assert [segment.install.end_count for segment in segments] == [60, None]
    gone = event(4, EventKind.VOID, 4, supersedes=3)
    assert len(timeline([hung(), wrong, right, gone])) == 1


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (event(0, EventKind.INSTALL, 3, parts=PARTS, after_count=0), "A stands"),
        (event(0, EventKind.RESET, 3, before_count=50), "after_count"),
        (event(0, EventKind.REMOVE, -1, before_count=50), "no meter stands"),
        (event(0, EventKind.REMOVE, 3, before_count=100_000), "end_count"),
        (event(0, EventKind.VOID, 3, supersedes=77), "supersedes: 77"),
        (event(0, EventKind.VOID, 3, supersedes=1), "superseded yet"),
        (event(0, EventKind.MULTIPLIER, 3, before_count=5, multiplier=Decimal(0)), "multiplier"),
        (
            event(0, EventKind.TEST, 3, before_count=5, after_count=9, until_us=1, rule="free"),
            "until_us",
        ),
    ],
)
def test_an_event_that_cannot_be_is_refused(made: MeterEvent, why: str) -> None:
    held = [hung()]
    if why == "superseded yet":
        held.append(event(2, EventKind.VOID, 0, supersedes=1))
    with pytest.raises(EventError, match=why):
        check_new(held, made)


def test_a_rollover_needs_a_capacity_and_a_reason_is_needed() -> None:
    bare = event(1, EventKind.INSTALL, 0, parts=MeterParts(meter_id="A", exponent=0), after_count=0)
    turn = event(0, EventKind.ROLLOVER, 5, before_count=9, after_count=5)
    with pytest.raises(EventError, match="capacity"):
        check_new([bare], turn)
    silent = MeterEvent(kind=EventKind.REMOVE, at_us=DAY_US, before_count=9, by="f", why=" ")
    with pytest.raises(EventError, match="why"):
        check_new([bare], silent)
