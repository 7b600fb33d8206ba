"""Limits that no manual tells: what is found by halving explains what the meter does."""

from hypothesis import given
from hypothesis import strategies as st

from devices.calibration import Limits, hull, search
from protocols.modbus.plan import Block, Span, plan

MOST_READS = 60
Addresses = frozenset[int]


def spans_of(gaps: list[tuple[int, int]]) -> list[Span]:
    """Points of 1, 2 or 4 words with gaps between them."""
    spans, address = [], 0x10
    for gap, count in gaps:
        spans.append(Span(3, address + gap, count))
        address += gap + count
    return spans


POINTS = st.lists(
    st.tuples(st.sampled_from((0, 0, 0, 1, 2, 6)), st.sampled_from((1, 2, 2, 4))),
    min_size=2,
    max_size=16,
).map(spans_of)


def answers(block: Block, longest: int, missing: Addresses) -> bool:
    """A meter that refuses long reads and registers that it does not have."""
    inside = range(block.address, block.address + block.count)
    return block.count <= longest and missing.isdisjoint(inside)


def found(spans: list[Span], longest: int, missing: Addresses) -> tuple[Limits, int]:
    """What a search finds, and with how many reads."""
    steps, reads = search(spans), 0
    try:
        block = next(steps)
        while True:
            reads += 1
            block = steps.send(answers(block, longest, missing))
    except StopIteration as end:
        limits: Limits = end.value
        return limits, reads


@given(POINTS, st.integers(4, 30), st.sets(st.integers(0x10, 0x60), max_size=3))
def test_reads_planned_within_what_was_found_are_answered(
    spans: list[Span], longest: int, missing: set[int]
) -> None:
    limits, gone = Limits(), frozenset(missing)
    for _ in range(40):
        wanted = [span for span in spans if span not in limits.lacking]
        if not wanted:
            break
        blocks = plan(
            wanted,
            max_registers=max(4, limits.max_registers),
            forbidden=tuple(limits.holes),
        )
        refused = [block for block in blocks if not answers(block, longest, gone)]
        if not refused:
            break
        before = limits
        for block in refused:
            inside = [span for span in wanted if block.holds(span)]
            more, reads = found(inside, longest, gone)
            assert reads <= MOST_READS
            limits |= more
        assert limits != before, "a refusal taught nothing"
    else:
        raise AssertionError("never settled")
    # nothing that the meter has was given up
    for span in limits.lacking:
        assert not gone.isdisjoint(range(span.address, span.end))


def test_a_shorter_span_is_found() -> None:
    spans = [Span(3, 2 * number, 2) for number in range(30)]
    assert found(spans, 20, frozenset())[0] == Limits(max_registers=20)


def test_a_hole_that_may_not_be_read_is_found() -> None:
    spans = [Span(3, 0, 2), Span(3, 2, 2), Span(3, 8, 2), Span(3, 10, 2)]
    limits, _ = found(spans, 125, frozenset({6}))
    assert limits == Limits(holes=frozenset({Span(3, 4, 4)}))


def test_a_point_that_the_meter_lacks_is_found() -> None:
    spans = [Span(3, 2 * number, 2) for number in range(9)]
    limits, reads = found(spans, 125, frozenset({8}))
    assert limits == Limits(lacking=frozenset({Span(3, 8, 2)}))
    assert reads <= 8


def test_a_hull_is_aligned_where_it_must_be() -> None:
    assert hull([Span(4, 3, 2), Span(4, 5, 2)], even=True) == Block(4, 2, 6)
