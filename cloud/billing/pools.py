"""Pools 公摊 of a month: public use and loss, priced by the supplier's invoice, shared by area."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection

from cloud.billing import repository
from cloud.billing.allocation import allocate
from cloud.billing.repository import Holder, Pool
from cloud.metering import balance as metering
from cloud.metering.balance import Balance, Node
from cloud.metering.registers import Consumption
from cloud.metering.repository import MeterPoint
from cloud.metering.service import Span
from cloud.tariffs.rating import rate
from cloud.tariffs.tariff import Tariff
from cloud.tariffs.usage import Usage


class PoolHeldError(ValueError):
    """A pool cannot be shared this month; the message says why."""


@dataclass(frozen=True)
class SharedPool:
    """A pool's month as its public sheet 公示表 shows it."""

    pool: Pool
    balance: Balance
    charged: Decimal
    unit_price: Decimal
    total_fen: int
    weights: Mapping[str, Decimal]
    shares: Mapping[str, int]
    note: str
    parts: Mapping[str, Consumption]


def balance_of(
    master: MeterPoint, points: Sequence[MeterPoint], used: Mapping[str, Consumption]
) -> Balance:
    """Return the balance behind a master; PoolHeldError if a meter's month is unknown."""
    nodes = [Node(point.id, point.parent_id, point.role) for point in points]
    balance = metering.balance_of(master.id, nodes, used)
    if not balance.is_complete:
        message = f"the month is unknown of {', '.join(balance.missing)}"
        raise PoolHeldError(message)
    return balance


def share(
    connection: Connection,
    pool: Pool,
    points: Sequence[MeterPoint],
    used: Mapping[str, Consumption],
    *,
    holders: Mapping[str, Holder],
    span: Span,
    tariff: Tariff,
) -> SharedPool:
    """Share one pool's month; PoolHeldError where it must wait."""
    master = next(point for point in points if point.id == pool.master_id)
    balance = balance_of(master, points, used)
    invoice = repository.invoice_of(connection, master.id, f"{span.from_on:%Y-%m}")
    if invoice is None:
        message = f"no supplier's invoice of {master.id} for {span.from_on:%Y-%m}"
        raise PoolHeldError(message)
    charged, note = _charged(pool, balance)
    usage = Usage(from_on=span.from_on, to_on=span.to_on, quantity=charged, invoice=invoice)
    rated = rate(tariff, usage)
    # nothing charged has no line and so shows no price
    unit_price = rated.line_items[0].unit_price if rated.line_items else Decimal(0)
    weights = {
        holder.id: holder.area_m2
        for holder in holders.values()
        if holder.building_id == pool.building_id and holder.kind == "home"
    }
    parts = {name: used[name] for name in (master.id, *balance.behind)}
    return SharedPool(
        pool,
        balance,
        charged,
        unit_price,
        rated.total_fen,
        weights,
        allocate(rated.total_fen, weights),
        note,
        parts,
    )


def _charged(pool: Pool, balance: Balance) -> tuple[Decimal, str]:
    quantity = balance.public if pool.kind == "public" else balance.loss
    if quantity < 0:
        return Decimal(0), f"negative {quantity}: carried forward, not posted"
    cap = balance.master * (pool.cap_percent or Decimal(0)) / 100
    if quantity > cap:
        return cap, f"capped at {pool.cap_percent} %: the company bears {quantity - cap}"
    return quantity, ""
