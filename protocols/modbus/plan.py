"""Wanted registers to the cheapest set of block reads for this bus."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocols.modbus.wire import Wire

MAX_REGISTERS = 125


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Registers of one value, never split: `count` registers from wire address `address`."""

    function: int
    address: int
    count: int

    @property
    def end(self) -> int:
        """First address behind the span."""
        return self.address + self.count

    def overlaps(self, other: "Span") -> bool:
        """Whether the two share a register."""
        return (
            self.function == other.function
            and self.address < other.end
            and other.address < self.end
        )


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """One read request: `count` registers from wire address `address`."""

    function: int
    address: int
    count: int

    def holds(self, span: Span) -> bool:
        """Whether reading this block reads the whole span."""
        return (
            self.function == span.function
            and self.address <= span.address
            and span.end <= self.address + self.count
        )


def plan(
    points: Sequence[Span],
    *,
    max_registers: int = MAX_REGISTERS,
    wire: Wire | None = None,
    even: bool = False,
    readable: Sequence[Span] | None = None,
    alone: Sequence[Span] = (),
    forbidden: Sequence[Span] = (),
) -> list[Block]:
    """The cheapest blocks, by function and address, that hold every span; ValueError if none can.

    With a wire the cost is its time; without, fewest requests and then fewest registers. `even`
    aligns start and count (SDM meters). `readable` bounds what may be read to these spans and the
    points; None lets a block read any hole. Points in `alone` get a block to themselves, and no
    hole of another block lies in them; nothing read touches `forbidden`.
    """
    apart = {point for point in points if point in alone}
    blocks: list[Block] = []
    for function in sorted({point.function for point in points}):
        wanted = {point for point in points if point.function == function}
        spans = sorted(wanted - apart)
        own = _addresses(spans, function)
        barred = _addresses(forbidden, function)
        for point in wanted & apart:
            blocks += _cheapest([point], max_registers, wire, even=even, barred=barred)
        # a neighbour's own registers may be those of a point that is read alone, a hole may not
        barred |= _addresses(alone, function) - own
        allowed = None if readable is None else _addresses(readable, function) | own
        blocks += _cheapest(spans, max_registers, wire, even=even, barred=barred, allowed=allowed)
    return sorted(blocks)


def block_cost(block: Block, wire: Wire | None = None) -> tuple[float, int]:
    """What one read costs: (seconds on the wire, or 1 without one; registers)."""
    seconds = 1.0 if wire is None else wire.read_s(block.count, function=block.function)
    return seconds, block.count


def _cheapest(
    spans: list[Span],
    limit: int,
    wire: Wire | None,
    *,
    even: bool,
    barred: set[int],
    allowed: set[int] | None = None,
) -> list[Block]:
    # best[i] = cheapest cover of the first i spans. Blocks over neighbours in order of address are
    # enough: a span between two others of a block lies in it, or moving the later
    # one out is no dearer.
    best: list[tuple[tuple[float, int], int, Block | None]] = [((0.0, 0), 0, None)]
    for last in range(len(spans)):
        choice: tuple[tuple[float, int], int, Block | None] | None = None
        for first in range(last, -1, -1):
            block = _hull(spans[first : last + 1], even=even)
            fault = _fault(block, limit, barred)
            if fault and first == last:
                raise ValueError(fault)
            # Going further left only widens the block.
            if fault or (
                first < last
                and allowed is not None
                and not _inside(spans[first : last + 1], allowed)
            ):
                break
            seconds, registers = block_cost(block, wire)
            (before_s, before_registers), _, _ = best[first]
            cost = (before_s + seconds, before_registers + registers)
            if choice is None or cost < choice[0]:
                choice = (cost, first, block)
        if choice is not None:
            best.append(choice)
    blocks: list[Block] = []
    position = len(spans)
    while position:
        _, position, chosen = best[position]
        if chosen is not None:
            blocks.append(chosen)
    return blocks[::-1]


def _hull(spans: list[Span], *, even: bool) -> Block:
    start = spans[0].address
    end = max(span.end for span in spans)
    if even:
        start -= start % 2
        end += end % 2
    return Block(spans[0].function, start, end - start)


def _fault(block: Block, limit: int, barred: set[int]) -> str:
    place = f"register {block.address:#06x}"
    if block.count > limit:
        return f"{place}: {block.count} registers in one value, allowed are {limit}"
    if barred and not barred.isdisjoint(range(block.address, block.address + block.count)):
        return f"{place}: cannot be read without one that is forbidden or read alone"
    return ""


def _addresses(spans: Iterable[Span], function: int) -> set[int]:
    return {
        address
        for span in spans
        if span.function == function
        for address in range(span.address, span.end)
    }


def _inside(spans: list[Span], allowed: set[int]) -> bool:
    end = max(span.end for span in spans)
    return all(address in allowed for address in range(spans[0].address, end))
