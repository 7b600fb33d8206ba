"""Wanted registers to the cheapest set of block reads for this bus."""

from collections.abc import Collection, Iterable, Sequence
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
    blocks: list[Block] = []
    for spans, ground in grounds(
        points,
        max_registers=max_registers,
        even=even,
        readable=readable,
        alone=alone,
        forbidden=forbidden,
    ):
        blocks += _cheapest(spans, ground, wire)
    return sorted(blocks)


def block_cost(block: Block, wire: Wire | None = None) -> tuple[float, int]:
    """What one read costs: (seconds on the wire, or 1 without one; registers)."""
    seconds = 1.0 if wire is None else wire.read_s(block.count, function=block.function)
    return seconds, block.count


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the blocks of one function may lie: outside `barred`, their holes inside `allowed`."""

    limit: int
    even: bool = False
    barred: frozenset[int] = frozenset()
    allowed: frozenset[int] | None = None

    def block(self, function: int, address: int, end: int) -> Block:
        """The block that reads `address` .. `end` - 1, aligned if it must be."""
        if self.even:
            address -= address % 2
            end += end % 2
        return Block(function, address, end - address)

    def reach(self, span: Span) -> int:
        """The furthest end of a block that begins with this span; ValueError if it cannot hold it.

        A block that begins later reaches at least as far.
        """
        first = self.block(span.function, span.address, span.end)
        place = f"register {first.address:#06x}"
        if first.count > self.limit:
            message = f"{place}: {first.count} registers in one value, allowed are {self.limit}"
            raise ValueError(message)
        end = stop = first.address + self.limit
        if self.barred:
            stop = next((a for a in range(first.address, end) if a in self.barred), end)
        if self.even:
            stop -= stop % 2
        if stop < span.end:
            message = f"{place}: cannot be read without one that is forbidden or read alone"
            raise ValueError(message)
        if self.allowed is None:
            return stop
        return next((a for a in range(span.end, stop) if a not in self.allowed), stop)


def grounds(
    points: Collection[Span],
    *,
    max_registers: int = MAX_REGISTERS,
    even: bool = False,
    readable: Sequence[Span] | None = None,
    alone: Sequence[Span] = (),
    forbidden: Sequence[Span] = (),
) -> list[tuple[list[Span], Ground]]:
    """The points in groups whose blocks are chosen apart, each in order of address and its ground.

    A group is one point that is read alone, or all others of one function; limits as in `plan`.
    """
    apart = {point for point in points if point in alone}
    groups: list[tuple[list[Span], Ground]] = []
    for function in sorted({point.function for point in points}):
        wanted = {point for point in points if point.function == function}
        spans = sorted(wanted - apart)
        own = _addresses(spans, function)
        never = _addresses(forbidden, function)
        groups += [
            ([point], Ground(max_registers, even, never)) for point in sorted(wanted & apart)
        ]
        # a neighbour's own registers may be those of a point that is read alone, a hole may not
        barred = never | (_addresses(alone, function) - own)
        allowed = None if readable is None else _addresses(readable, function) | own
        if spans:
            groups.append((spans, Ground(max_registers, even, barred, allowed)))
    return groups


def _cheapest(spans: list[Span], ground: Ground, wire: Wire | None) -> list[Block]:
    # best[i] = cheapest cover of the first i spans. Blocks over neighbours in order of address are
    # enough: a span between two others of a block lies in it, or moving the later
    # one out is no dearer.
    reaches = [ground.reach(span) for span in spans]
    best: list[tuple[tuple[float, int], int, Block | None]] = [((0.0, 0), 0, None)]
    for last in range(len(spans)):
        choice: tuple[tuple[float, int], int, Block | None] | None = None
        end = spans[last].end
        for first in range(last, -1, -1):
            end = max(end, spans[first].end)
            # Going further left only widens the block.
            if end > reaches[first]:
                break
            block = ground.block(spans[first].function, spans[first].address, end)
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


def _addresses(spans: Iterable[Span], function: int) -> frozenset[int]:
    return frozenset(
        address
        for span in spans
        if span.function == function
        for address in range(span.address, span.end)
    )
