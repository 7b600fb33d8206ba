"""The planner against brute force."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.modbus.plan import Block, Span, block_cost, plan
from protocols.modbus.wire import Wire

spans = st.builds(Span, st.just(3), st.integers(0, 60), st.sampled_from([1, 2, 4]))
wires = st.sampled_from([None, *(Wire(baud=b) for b in (1200, 9600, 19200, 115200))])


def partitions(items: list[Span]) -> Iterator[list[list[Span]]]:
    """Every way to put the items into groups."""
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        yield [[items[0]], *rest]
        for index, group in enumerate(rest):
            yield [*rest[:index], [items[0], *group], *rest[index + 1 :]]


def hull(group: list[Span], *, even: bool) -> Block:
    """The one block that reads a group."""
    start, end = min(s.address for s in group), max(s.end for s in group)
    if even:
        start, end = start // 2 * 2, -(-end // 2) * 2
    return Block(group[0].function, start, end - start)


def touched(block: Block) -> range:
    """Addresses that a block reads."""
    return range(block.address, block.address + block.count)


def cost(blocks: list[Block], wire: Wire | None) -> tuple[float, int]:
    """Cost of a whole plan."""
    each = [block_cost(block, wire) for block in blocks]
    return round(sum(c[0] for c in each), 9), sum(c[1] for c in each)


@settings(max_examples=150)
@given(
    points=st.lists(spans, min_size=1, max_size=6, unique=True),
    wire=wires,
    limit=st.integers(6, 40),
    even=st.booleans(),
    readable=st.one_of(st.none(), st.lists(spans, max_size=8)),
    alone=st.lists(spans, max_size=3),
    forbidden=st.lists(spans, max_size=3),
)
def test_no_other_grouping_is_cheaper(
    *,
    points: list[Span],
    wire: Wire | None,
    limit: int,
    even: bool,
    readable: list[Span] | None,
    alone: list[Span],
    forbidden: list[Span],
) -> None:
    lone = [point for point in points if point in alone]
    own = {a for s in points if s not in lone for a in range(s.address, s.end)}
    never = {a for s in forbidden for a in range(s.address, s.end)}
    barred = never | {a for s in alone for a in range(s.address, s.end)} - own
    one = [(hull([point], even=even), never if point in lone else barred) for point in points]
    try:
        got = plan(
            points,
            max_registers=limit,
            wire=wire,
            even=even,
            readable=readable,
            alone=alone,
            forbidden=forbidden,
        )
    except ValueError:
        # a value that cannot even be read by itself
        assert any(not bars.isdisjoint(touched(block)) for block, bars in one)
        return
    assert all(never.isdisjoint(touched(block)) for block in got)
    assert got == sorted(got)
    for point in lone:
        assert hull([point], even=even) in got
    allowed = None
    if readable is not None:
        allowed = own | {a for s in readable for a in range(s.address, s.end)}
    possible = []
    for groups in partitions(points):
        blocks = [hull(group, even=even) for group in groups]
        inside = allowed is None or all(
            allowed.issuperset(range(min(s.address for s in g), max(s.end for s in g)))
            for g in groups
            if len(g) > 1
        )
        apart = all(
            len(group) == 1 or not any(point in lone for point in group) for group in groups
        )
        clear = all(
            (never if group[0] in lone else barred).isdisjoint(touched(block))
            for group, block in zip(groups, blocks, strict=True)
        )
        if inside and apart and clear and all(block.count <= limit for block in blocks):
            possible.append(cost(blocks, wire))
    assert all(any(block.holds(point) for block in got) for point in points)
    assert all(block.count <= limit for block in got)
    assert cost(got, wire)[0] == pytest.approx(min(possible)[0])
    if wire is None:
        assert cost(got, wire) == min(possible)


def test_neighbours_are_read_together_and_far_ones_apart() -> None:
    points = [Span(3, 0, 2), Span(3, 2, 2), Span(3, 100, 2)]
    wire = Wire(baud=9600)
    assert plan(points, wire=wire) == [Block(3, 0, 4), Block(3, 100, 2)]


def test_without_a_wire_fewer_requests_win() -> None:
    assert plan([Span(3, 0, 2), Span(3, 100, 2)]) == [Block(3, 0, 102)]


def test_only_known_registers_are_read_where_holes_are_refused() -> None:
    points = [Span(3, 0, 2), Span(3, 4, 2)]
    assert plan(points, readable=[]) == [Block(3, 0, 2), Block(3, 4, 2)]
    assert plan(points, readable=[Span(3, 2, 2)]) == [Block(3, 0, 6)]


def test_functions_are_never_mixed() -> None:
    assert plan([Span(4, 0, 1), Span(3, 0, 1)]) == [Block(3, 0, 1), Block(4, 0, 1)]


def test_a_value_larger_than_a_request_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed are 3"):
        plan([Span(3, 0, 4)], max_registers=3)


def test_a_register_that_is_read_alone_is_never_in_another_block() -> None:
    points = [Span(4, 0, 2), Span(4, 0x0B, 1), Span(4, 0x0C, 2)]
    alone = [Span(4, 0x0B, 1)]
    assert plan(points, alone=alone) == [Block(4, 0, 2), Block(4, 0x0B, 1), Block(4, 0x0C, 2)]
    # not even as a hole between others
    assert plan([points[0], points[2]], alone=alone) == [Block(4, 0, 2), Block(4, 0x0C, 2)]


def test_forbidden_registers_are_never_touched() -> None:
    points = [Span(3, 0, 2), Span(3, 6, 2)]
    assert plan(points) == [Block(3, 0, 8)]
    assert plan(points, forbidden=[Span(3, 4, 1)]) == [Block(3, 0, 2), Block(3, 6, 2)]
    assert plan(points, forbidden=[Span(4, 4, 1)]) == [Block(3, 0, 8)]
    with pytest.raises(ValueError, match="0x0006: cannot be read without one that is forbidden"):
        plan([Span(3, 7, 1)], even=True, forbidden=[Span(3, 6, 1)])
