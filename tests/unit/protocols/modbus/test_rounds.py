"""The planner of rounds against brute force."""

import time
from collections.abc import Iterator
from fractions import Fraction
from math import gcd
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.modbus import round_search
from protocols.modbus.plan import Block, Span, block_cost, plan
from protocols.modbus.rounds import Round, bus_load, plan_rounds
from protocols.modbus.wire import Wire

spans = st.builds(Span, st.just(3), st.integers(0, 60), st.sampled_from([1, 2, 4, 9]))
wires = st.sampled_from([None, *(Wire(baud=b) for b in (1200, 9600, 19200, 115200))])
period_sets = st.one_of(
    st.sampled_from([(1, 10, 60), (2, 3, 5), (4, 6, 12), (1, 2, 3), (6, 10, 15), (5, 5, 7)]),
    st.tuples(*[st.integers(1, 30)] * 3),
)

Wanted = list[tuple[Span, int]]


def partitions(items: Wanted) -> Iterator[list[Wanted]]:
    """Every way to put the items into groups."""
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        yield [[items[0]], *rest]
        for index, group in enumerate(rest):
            yield [*rest[:index], [items[0], *group], *rest[index + 1 :]]


def ends(group: Wanted) -> tuple[int, int]:
    """First address of a group and the one behind its last."""
    return min(span.address for span, _ in group), max(span.end for span, _ in group)


def hull(group: Wanted, *, even: bool) -> Block:
    """The one block that reads a group."""
    start, end = ends(group)
    if even:
        start, end = start // 2 * 2, -(-end // 2) * 2
    return Block(group[0][0].function, start, end - start)


def load(blocks: list[tuple[Block, int]], wire: Wire | None) -> tuple[float | Fraction, Fraction]:
    """Load of blocks with their periods: time or requests, and registers, per second."""
    registers = sum((Fraction(block.count, period) for block, period in blocks), Fraction(0))
    if wire is None:
        return sum((Fraction(1, period) for _, period in blocks), Fraction(0)), registers
    return sum(block_cost(block, wire)[0] / period for block, period in blocks), registers


def flat(rounds: list[Round]) -> list[tuple[Block, int]]:
    """Blocks of the rounds with their periods."""
    return [(block, each.period_s) for each in rounds for block in each.blocks]


def addresses(some: list[Span]) -> set[int]:
    """Addresses of spans."""
    return {address for span in some for address in range(span.address, span.end)}


@settings(max_examples=120, deadline=None)
@given(
    points=st.lists(st.tuples(spans, st.integers(0, 2)), min_size=1, max_size=7, unique=True),
    periods=period_sets,
    wire=wires,
    limit=st.integers(9, 40),
    even=st.booleans(),
    readable=st.one_of(st.none(), st.lists(spans, max_size=8)),
    alone=st.lists(spans, max_size=3),
    forbidden=st.lists(spans, max_size=2),
    width=st.sampled_from([1, 8]),
)
def test_no_other_grouping_loads_the_bus_less(
    *,
    points: list[tuple[Span, int]],
    periods: tuple[int, int, int],
    wire: Wire | None,
    limit: int,
    even: bool,
    readable: list[Span] | None,
    alone: list[Span],
    forbidden: list[Span],
    width: int,
) -> None:
    wanted = [(span, periods[index]) for span, index in points]
    own = addresses([span for span, _ in wanted if span not in alone])
    never = addresses(forbidden)
    barred = never | addresses(alone) - own
    allowed = None if readable is None else own | addresses(readable)

    def possible(group: Wanted) -> bool:
        start, end = ends(group)
        block = hull(group, even=even)
        lone = {span for span, _ in group if span in alone}
        if lone and any(span not in lone or len(lone) > 1 for span, _ in group):
            return False
        inside = allowed is None or len(group) == 1 or allowed.issuperset(range(start, end))
        bars = never if lone else barred
        clear = bars.isdisjoint(range(block.address, block.address + block.count))
        return block.count <= limit and (inside or bool(lone)) and clear

    # the narrow search before the exact one must not matter
    narrow = mock.patch.object(round_search, "_WIDTH", width)
    try:
        with narrow:
            got = plan_rounds(
                wanted,
                max_registers=limit,
                wire=wire,
                even=even,
                readable=readable,
                alone=alone,
                forbidden=forbidden,
            )
    except ValueError:
        # a value that cannot even be read by itself
        assert not all(possible([item]) for item in wanted)
        return
    assert got == sorted(got)
    for span, period in wanted:
        assert any(
            block.holds(span)
            and period % every == 0
            and (span not in alone or possible([(span, 1)]))
            for block, every in flat(got)
        )
    assert all(block.count <= limit for block, _ in flat(got))
    assert all(
        never.isdisjoint(range(block.address, block.address + block.count))
        for block, _ in flat(got)
    )
    # the longest period that serves a whole group is the common divisor of its periods
    best = min(
        load([(hull(g, even=even), gcd(*(p for _, p in g))) for g in groups], wire)
        for groups in partitions(wanted)
        if all(possible(group) for group in groups)
    )
    assert load(flat(got), wire)[0] == pytest.approx(best[0], rel=1e-9)
    if wire is None:
        assert load(flat(got), wire) == best


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(spans, min_size=1, max_size=30, unique=True),
    period=st.integers(1, 900),
    wire=wires,
    even=st.booleans(),
    readable=st.one_of(st.none(), st.lists(spans, max_size=8)),
)
def test_one_period_costs_what_the_plan_costs(
    *,
    points: list[Span],
    period: int,
    wire: Wire | None,
    even: bool,
    readable: list[Span] | None,
) -> None:
    blocks = plan(points, wire=wire, even=even, readable=readable)
    (only,) = plan_rounds(
        [(point, period) for point in points], wire=wire, even=even, readable=readable
    )
    assert only.period_s == period
    both = [load([(block, 1) for block in some], wire) for some in (only.blocks, blocks)]
    assert both[0][0] == pytest.approx(both[1][0], rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(
        st.tuples(
            st.builds(Span, st.just(1), st.integers(0, 40), st.just(1)), st.sampled_from([2, 3, 6])
        ),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    limit=st.integers(4, 30),
)
def test_bits_travel_in_whole_bytes(points: Wanted, limit: int) -> None:
    wire = Wire(baud=1200, turnaround_s=0.0)
    got = plan_rounds(points, wire=wire, max_registers=limit)
    best = min(
        load([(hull(g, even=False), gcd(*(p for _, p in g))) for g in groups], wire)
        for groups in partitions(points)
        if all(hull(group, even=False).count <= limit for group in groups)
    )
    assert load(flat(got), wire)[0] == pytest.approx(best[0], rel=1e-9)


def test_a_slow_value_beside_a_fast_block_rides_along() -> None:
    wanted = [(Span(3, 0, 2), 10), (Span(3, 2, 2), 60), (Span(3, 4, 2), 10)]
    assert plan_rounds(wanted, wire=Wire()) == [Round(10, (Block(3, 0, 6),))]


def test_a_far_slow_value_has_a_block_of_its_own() -> None:
    wanted = [(Span(3, 0, 2), 1), (Span(3, 20, 2), 60)]
    assert plan_rounds(wanted, wire=Wire()) == [
        Round(1, (Block(3, 0, 2),)),
        Round(60, (Block(3, 20, 2),)),
    ]
    # the same hole is worth reading where both are read together anyway
    assert plan([span for span, _ in wanted], wire=Wire(turnaround_s=0.1)) == [Block(3, 0, 22)]


def test_a_slow_block_spans_a_fast_one() -> None:
    wanted = [(Span(3, 0, 2), 60), (Span(3, 10, 2), 1), (Span(3, 20, 2), 60)]
    assert plan_rounds(wanted, wire=Wire(turnaround_s=0.1)) == [
        Round(1, (Block(3, 10, 2),)),
        Round(60, (Block(3, 0, 22),)),
    ]


def test_periods_that_do_not_divide_are_read_apart_or_by_a_common_divisor() -> None:
    one, two, three = Span(3, 0, 1), Span(3, 1, 1), Span(3, 2, 1)
    assert plan_rounds([(one, 4), (two, 6)]) == [
        Round(4, (Block(3, 0, 1),)),
        Round(6, (Block(3, 1, 1),)),
    ]
    # 1/2 + 1/3 + 1/5 reads a second are more than one
    assert plan_rounds([(one, 2), (two, 3), (three, 5)]) == [Round(1, (Block(3, 0, 3),))]


def test_one_span_at_two_periods_is_read_at_both_unless_one_serves_the_other() -> None:
    span = Span(3, 0, 2)
    assert plan_rounds([(span, 5), (span, 60)]) == [Round(5, (Block(3, 0, 2),))]
    assert plan_rounds([(span, 4), (span, 6)]) == [
        Round(4, (Block(3, 0, 2),)),
        Round(6, (Block(3, 0, 2),)),
    ]


def test_a_value_that_is_read_alone_stays_alone() -> None:
    wanted = [(Span(4, 0, 2), 10), (Span(4, 2, 1), 60), (Span(4, 3, 2), 10)]
    assert plan_rounds(wanted, alone=[Span(4, 2, 1)]) == [
        Round(10, (Block(4, 0, 2), Block(4, 3, 2))),
        Round(60, (Block(4, 2, 1),)),
    ]


def test_a_period_below_a_second_is_refused() -> None:
    with pytest.raises(ValueError, match="0x0000: period 0 s: allowed are 1 or more"):
        plan_rounds([(Span(3, 0, 2), 0)])


def test_nothing_wanted_is_nothing_read() -> None:
    assert plan_rounds([]) == []


def test_the_load_is_the_time_of_all_reads_in_a_second() -> None:
    wire = Wire(baud=9600)
    rounds = [Round(1, (Block(3, 0, 2),)), Round(10, (Block(3, 0, 10), Block(4, 0, 1)))]
    expected = wire.read_s(2) + (wire.read_s(10) + wire.read_s(1)) / 10
    assert bus_load(rounds, wire) == pytest.approx(expected)
    assert bus_load([], wire) == 0


@pytest.mark.parametrize("wire", [None, Wire(baud=2400), Wire(baud=115200)])
@pytest.mark.parametrize("step", [2, 3, 7])
def test_sixty_points_at_three_periods_are_planned_quickly(wire: Wire | None, step: int) -> None:
    periods = (1, 10, 60)
    wanted = [(Span(3, step * n, 2), periods[(n * n + n // 3) % 3]) for n in range(60)]
    began = time.process_time()
    rounds = plan_rounds(wanted, wire=wire)
    # far above what it takes: only an explosion of states is a fault
    assert time.process_time() - began < 2
    assert all(any(block.holds(span) for block, _ in flat(rounds)) for span, _ in wanted)
