"""What one installed meter lets be read, where its manual says otherwise: found by halving."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from protocols.modbus.plan import MAX_REGISTERS, Block, Span

# A read to try; what is sent back is whether it was answered.
Search = Generator[Block, bool, "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a meter refused: longer reads, holes between points, and points that it lacks."""

    max_registers: int = MAX_REGISTERS
    holes: frozenset[Span] = frozenset()
    lacking: frozenset[Span] = frozenset()

    def __or__(self, other: "Limits") -> "Limits":
        """Both limits together."""
        return Limits(
            min(self.max_registers, other.max_registers),
            self.holes | other.holes,
            self.lacking | other.lacking,
        )


def search(points: Sequence[Span], *, even: bool = False) -> Search:
    """Find out why a block of these points (of one function) is refused; yields reads to try.

    The limits returned explain the refusal; other blocks may be refused for more reasons.
    """
    return (yield from _search(sorted(set(points)), even=even))


def _search(spans: list[Span], *, even: bool) -> Search:
    if len(spans) == 1:
        return Limits(lacking=frozenset(spans))
    middle = len(spans) // 2
    left, right = spans[:middle], spans[middle:]
    left_ok = yield hull(left, even=even)
    right_ok = yield hull(right, even=even)
    limits = Limits()
    if not left_ok:
        limits |= yield from _search(left, even=even)
    if not right_ok:
        limits |= yield from _search(right, even=even)
    if left_ok and right_ok:
        limits |= yield from _seam(spans, middle, even=even)
    return limits


def _seam(spans: list[Span], answered: int, *, even: bool) -> Search:
    """Why all of them are refused together, where the first `answered` are not."""
    refused = len(spans)
    while refused - answered > 1:
        tried = (answered + refused) // 2
        if (yield hull(spans[:tried], even=even)):
            answered = tried
        else:
            refused = tried
    longest = hull(spans[:answered], even=even).count
    end = max(span.end for span in spans[:answered])
    hole = replace(spans[answered], address=end, count=spans[answered].address - end)
    if hole.count > 0:
        pair = hull([max(spans[:answered], key=lambda span: span.end), spans[answered]], even=even)
        # a hole can only be told from a length where both sides of it fit an answered length
        if pair.count > longest or not (yield pair):
            return Limits(holes=frozenset({hole}))
        longest = max(longest, pair.count)
    return Limits(max_registers=longest)


def hull(spans: Sequence[Span], *, even: bool = False) -> Block:
    """The block from the first to the last register of some points."""
    start = min(span.address for span in spans)
    end = max(span.end for span in spans)
    if even:
        start -= start % 2
        end += end % 2
    return Block(spans[0].function, start, end - start)
