"""Wanted registers, each with its period, to the reads that load this bus least."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

from protocols.modbus.plan import MAX_REGISTERS, Block, Span, grounds
from protocols.modbus.round_search import Search
from protocols.modbus.wire import Wire


@dataclass(frozen=True, slots=True, order=True)
class Round:
    """Blocks that are read every `period_s` seconds, by function and address."""

    period_s: int
    blocks: tuple[Block, ...]


def plan_rounds(
    wanted: Sequence[tuple[Span, int]],
    *,
    max_registers: int = MAX_REGISTERS,
    wire: Wire | None = None,
    even: bool = False,
    readable: Sequence[Span] | None = None,
    alone: Sequence[Span] = (),
    forbidden: Sequence[Span] = (),
) -> list[Round]:
    """The rounds, shortest period first, that load the bus least; ValueError if none can.

    Each span lies in a block whose period divides the span's own, in seconds. With a wire the load
    is time per second; without, requests per second and then registers per second. The limits are
    those of `plan`.
    """
    periods: dict[Span, set[int]] = {}
    for span, period_s in wanted:
        if period_s < 1:
            message = f"register {span.address:#06x}: period {period_s} s: allowed are 1 or more"
            raise ValueError(message)
        periods.setdefault(span, set()).add(period_s)
    found: dict[int, list[Block]] = {}
    for spans, ground in grounds(
        periods.keys(),
        max_registers=max_registers,
        even=even,
        readable=readable,
        alone=alone,
        forbidden=forbidden,
    ):
        items = [(span, period_s) for span in spans for period_s in _needed(periods[span])]
        search = Search(items, ground, wire, _candidates({p for _, p in items}))
        for period_s, block in search.cheapest():
            found.setdefault(period_s, []).append(block)
    return [Round(period_s, tuple(sorted(found[period_s]))) for period_s in sorted(found)]


def bus_load(rounds: Sequence[Round], wire: Wire) -> float:
    """The share of the wire's time that the rounds take; 1.0 is all of it."""
    return sum(
        wire.read_s(block.count, function=block.function) / each.period_s
        for each in rounds
        for block in each.blocks
    )


def _needed(periods: set[int]) -> list[int]:
    """The periods of a span without those that another of them serves."""
    return sorted(
        period_s
        for period_s in periods
        if not any(other != period_s and period_s % other == 0 for other in periods)
    )


def _candidates(wanted: set[int]) -> list[int]:
    """Periods that a block of a cheapest set may have, ascending.

    A block may be read at the common divisor of what it holds: values of 2, 3 and 5 s are cheaper
    in one read a second than in three reads, 1/2 + 1/3 + 1/5 > 1. Where the separate reads are no
    dearer a divisor is never needed.
    """
    divisors = set(wanted)
    for period_s in wanted:
        divisors |= {gcd(period_s, other) for other in divisors}
    return sorted(
        each
        for each in divisors
        if each in wanted
        or sum(
            Fraction(each, period_s)
            for period_s in _needed({other for other in wanted if other % each == 0})
        )
        > 1
    )
