"""Wanted registers to the cheapest set of block reads for this bus."""

from collections.abc import Sequence
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
) -> list[Block]:
    """The cheapest blocks, by function and address, that hold every span; ValueError if none can.

    With a wire the cost is its time; without, fewest requests and then fewest registers. `even`
    aligns start and count (SDM meters). `readable` bounds what may be read to these spans and the
    points; None lets a block read any hole.
    """
    blocks: list[Block] = []
    for function in sorted({point.function for point in points}):
        spans = sorted({point for point in points if point.function == function})
        allowed = None
        if readable is not None:
            allowed = {
                a for s in readable if s.function == function for a in range(s.address, s.end)
            }
            allowed |= {a for s in spans for a in range(s.address, s.end)}
        blocks += _cheapest(spans, max_registers, wire, even=even, allowed=allowed)
    return blocks


def block_cost(block: Block, wire: Wire | None = None) -> tuple[float, int]:
    """What one read costs: (seconds on the wire, or 1 without one; registers)."""
    seconds = 1.0 if wire is None else wire.read_s(block.count, function=block.function)
    return seconds, block.count


def _cheapest(
    spans: list[Span], limit: int, wire: Wire | None, *, even: bool, allowed: set[int] | None
) -> list[Block]:
    # best[i] = cheapest cover of the first i spans. Blocks over neighbours in order of address are
    # enough: a span between two others of a block lies in it, or moving the later
    # one out is no dearer.
    best: list[tuple[tuple[float, int], int, Block | None]] = [((0.0, 0), 0, None)]
    for last in range(len(spans)):
        choice: tuple[tuple[float, int], int, Block | None] | None = None
        for first in range(last, -1, -1):
            block = _hull(spans[first : last + 1], even=even)
            if block.count > limit:
                if first == last:
                    message = (
                        f"register {block.address:#06x}: {block.count} registers in one value,"
                        f" allowed are {limit}"
                    )
                    raise ValueError(message)
                # Going further left only widens the block.
                break
            if (
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


def _inside(spans: list[Span], allowed: set[int]) -> bool:
    end = max(span.end for span in spans)
    return all(address in allowed for address in range(spans[0].address, end))
