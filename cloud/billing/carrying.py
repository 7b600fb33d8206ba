"""What a month's pool 公摊 charges, and what it carries into the next one (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import msgspec

from cloud.metering.registers import sum_of

MASTER: Final = "master"
PUBLIC: Final = "public"
SUB: Final = "sub"


class Counted(msgspec.Struct, frozen=True):
    """A meter point as a sheet counted it; `is_shared` says of a public one that it was shared."""

    meter_point_id: str
    role: str
    quantity: str
    is_shared: bool = True


class Correction(msgspec.Struct, frozen=True):
    """By how much more a posted month's meter point used than was counted of it by then."""

    period: str
    meter_point_id: str
    quantity: str


@dataclass(frozen=True)
class Posted:
    """A posted sheet as later ones see it."""

    period: str
    kind: str
    counted: tuple[Counted, ...]
    corrections: tuple[Correction, ...]
    carried_out: Decimal


@dataclass(frozen=True)
class Brought:
    """What a pool's earlier months bring along: carried in, and corrections of what was counted."""

    carried_in: Decimal = Decimal(0)
    corrections: tuple[Correction, ...] = ()
    corrected: Decimal = Decimal(0)


@dataclass(frozen=True)
class Settled:
    """What becomes of a month's quantity; `above_cap` is the company's, `carried_out` below 0."""

    charged: Decimal = field(default=Decimal(0))
    above_cap: Decimal = field(default=Decimal(0))
    carried_out: Decimal = field(default=Decimal(0))


def settle(due: Decimal, most: Decimal) -> Settled:
    """Charge what is due up to a most of 0 or more; what is below 0 is carried, never charged."""
    if due < 0:
        return Settled(carried_out=due)
    if due > most:
        return Settled(most, sum_of([due, -most]))
    return Settled(due)


def measured_of(kind: str, counted: Iterable[tuple[Counted, Decimal]]) -> Decimal:
    """Return what meter points' quantities come to for a pool: public use or loss."""
    return sum_of([_sign(kind, each) * quantity for each, quantity in counted])


def brought(posted: Sequence[Posted], now: Mapping[tuple[str, str], Decimal]) -> Brought:
    """Return what posted sheets bring along, the oldest first.

    `now` is what the registers say today by (period, meter point); what they don't say stays as it
    was counted.
    """
    if not posted:
        return Brought()
    before: dict[tuple[str, str], list[Decimal]] = {}
    for each in (correction for sheet in posted for correction in sheet.corrections):
        before.setdefault((each.period, each.meter_point_id), []).append(Decimal(each.quantity))
    made: list[Correction] = []
    signed: list[Decimal] = []
    for sheet in posted:
        for meter in sheet.counted:
            key = sheet.period, meter.meter_point_id
            sign = _sign(sheet.kind, meter)
            if not sign or key not in now:
                continue
            known = [Decimal(meter.quantity), *before.get(key, ())]
            more = sum_of([now[key], *(-each for each in known)])
            if more:
                made.append(Correction(*key, f"{more:f}"))
                signed.append(sign * more)
    return Brought(posted[-1].carried_out, tuple(made), sum_of(signed))


def _sign(kind: str, meter: Counted) -> int:
    if kind == PUBLIC:
        return int(meter.role == PUBLIC and meter.is_shared)
    return 1 if meter.role == MASTER else -1
