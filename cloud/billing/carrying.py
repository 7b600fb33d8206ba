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
class Stretch:
    """Months in a row of a meter point, with what was counted of them, corrections included."""

    meter_point_id: str
    periods: tuple[str, ...]
    quantity: Decimal


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


def stretches(posted: Sequence[Posted]) -> list[Stretch]:
    """Return the stretches of months in which meter points were counted, the oldest first.

    The months of one follow one another, and in all of them the meter point counted alike.
    """
    open_ones: dict[str, tuple[int, list[str], list[str]]] = {}
    found: list[tuple[str, list[str], list[str]]] = []
    corrected: dict[tuple[str, str], list[str]] = {}
    for each in (correction for sheet in posted for correction in sheet.corrections):
        corrected.setdefault((each.period, each.meter_point_id), []).append(each.quantity)
    for sheet in posted:
        for meter in sheet.counted:
            name, sign = meter.meter_point_id, _sign(sheet.kind, meter)
            if not sign:
                continue
            quantities = [meter.quantity, *corrected.get((sheet.period, name), ())]
            before = open_ones.get(name)
            if before and before[0] == sign and _following(before[1][-1]) == sheet.period:
                before[1].append(sheet.period)
                before[2].extend(quantities)
                continue
            open_ones[name] = (sign, [sheet.period], quantities)
            found.append((name, *open_ones[name][1:]))
    return [
        Stretch(name, tuple(periods), sum_of([Decimal(each) for each in quantities]))
        for name, periods, quantities in found
    ]


def _sign(kind: str, meter: Counted) -> int:
    if kind == PUBLIC:
        return int(meter.role == PUBLIC and meter.is_shared)
    return 1 if meter.role == MASTER else -1


def _following(period: str) -> str:
    year, month = int(period[:4]), int(period[5:])
    return f"{year + month // 12:04}-{month % 12 + 1:02}"
