"""True-up 退补: what spans billed by an estimate still owe, so that all bills add up in the end."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from cloud.metering.registers import Consumption, sum_of


@dataclass(frozen=True)
class Closing:
    """What was billed of a span; while it is open, the next one trues it up 退补."""

    start_us: int
    end_us: int
    revision: int
    quantity: Decimal
    is_open: bool


def open_before(closings: Iterable[Closing], start_us: int) -> tuple[int, Decimal]:
    """Return since when the spans up to an instant are open, and what was billed of them.

    closings come newest first; where none is open that is (start_us, 0).
    """
    since_us, billed = start_us, Decimal(0)
    for closing in closings:
        if closing.end_us != since_us or not closing.is_open:
            break
        since_us, billed = closing.start_us, sum_of([billed, closing.quantity])
    return since_us, billed


def with_true_up(consumption: Consumption, due: Decimal) -> Consumption:
    """Consumption with what earlier spans still owe (or are owed); never billed below zero."""
    quantity = max(sum_of([consumption.quantity, due]), Decimal(0))
    return replace(consumption, quantity=quantity, true_up=due)


def is_open(used: Consumption) -> bool:
    """Say whether a span's bill is to be trued up: its end is a guess, or it was cut off at 0."""
    end_is_guess = bool(used.parts) and used.parts[-1].end.estimated
    return end_is_guess or used.quantity != sum_of([used.measured, used.true_up])
