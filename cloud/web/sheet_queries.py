"""Public sheets 公示表 as pages and paper show them: how a pool came about, every share of it."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from cloud.billing.bill_tables import pool_shares, pool_statements
from cloud.billing.carrying import PUBLIC
from cloud.billing.pool_repository import counted_of
from cloud.billing.tables import pools
from cloud.billing.weights import uom_of
from cloud.metering.registers import sum_of
from cloud.metering.tables import meter_points
from cloud.sites.tables import buildings, premises

_SHEET: Final = (
    *("pool_id", "period", "kind", "cap_percent", "level", "entrance", "formula"),
    *("master", "subs", "public", "loss", "carried_in", "corrected", "charged", "above_cap"),
    *("carried_out", "unit_price", "total_fen", "company_fen", "note"),
)


@dataclass(frozen=True)
class Share:
    """What one premise bears of a pool, by its weight."""

    premise_id: str
    premise_name: str
    weight: str
    amount_fen: int


@dataclass(frozen=True)
class Exempt:
    """A premise that bears nothing, why, and its part where the company bears it."""

    premise_id: str
    premise_name: str
    reason: str
    borne_by: str
    weight: str
    amount_fen: int


@dataclass(frozen=True)
class SharedMeter:
    """A public meter that a pool shares, with what it used."""

    name: str
    quantity: str


@dataclass(frozen=True)
class Statement:
    """A public sheet 公示表; `by` weighed the premises, in the uom of weights.

    `is_fallback` says that the pool's own weights were all 0; `meters` are those that it shares
    where it does not share all public ones.
    """

    pool_id: str
    period: str
    kind: str
    cap_percent: str | None
    level: str
    entrance: str
    formula: str
    master: str
    subs: str
    public: str
    loss: str
    carried_in: str
    corrected: str
    charged: str
    above_cap: str
    carried_out: str
    unit_price: str
    total_fen: int
    company_fen: int
    note: str
    name: str
    name_en: str
    building_name: str
    building_name_en: str
    master_name: str
    resolution: str | None
    uom: str
    by: str
    is_fallback: bool
    weight_uom: str
    shares: tuple[Share, ...]
    exempt: tuple[Exempt, ...]
    meters: tuple[SharedMeter, ...]

    @property
    def is_above_cap(self) -> bool:
        """Say whether the company bears a part above the cap."""
        return Decimal(self.above_cap) > 0

    @property
    def is_carried(self) -> bool:
        """Say whether nothing is charged, and a quantity below 0 is carried into the next month."""
        return Decimal(self.carried_out) < 0

    @property
    def weight_sum(self) -> Decimal:
        """Return the sum of the weights of all shares."""
        return sum_of([Decimal(share.weight) for share in self.shares])

    @property
    def company_weight(self) -> Decimal:
        """Return the sum of the weights that the company bears."""
        return sum_of([Decimal(each.weight) for each in self.exempt])

    @property
    def share_sum_fen(self) -> int:
        """Return what all shares add up to."""
        return sum(share.amount_fen for share in self.shares)

    @property
    def adds_up(self) -> bool:
        """Say whether the shares and the company's part are the total, to the fen."""
        return self.share_sum_fen + self.company_fen == self.total_fen

    def share_of(self, premise_id: str) -> Share | None:
        """Return the share of one premise, None where it bears none."""
        return next((share for share in self.shares if share.premise_id == premise_id), None)


def statements_of(
    connection: Connection, project_id: str, period: str, *, premise_id: str = ""
) -> list[Statement]:
    """Return the public sheets of a period, or those in which a premise has a share."""
    query = (
        select(
            pool_statements,
            pools.c.name,
            pools.c.name_en,
            pools.c.resolution,
            buildings.c.name.label("building_name"),
            buildings.c.name_en.label("building_name_en"),
            meter_points.c.name.label("master_name"),
            meter_points.c.uom,
        )
        .join(pools, pools.c.id == pool_statements.c.pool_id)
        .join(buildings, buildings.c.id == pools.c.building_id)
        .join(meter_points, meter_points.c.id == pools.c.master_id)
        .where(pools.c.project_id == project_id, pool_statements.c.period == period)
        .order_by(buildings.c.position, pools.c.id)
    )
    found = [_statement(connection, row) for row in connection.execute(query).all()]
    return [each for each in found if not premise_id or each.share_of(premise_id) is not None]


def sheet_periods(connection: Connection, project_id: str) -> list[str]:
    """Return the periods that have public sheets, newest first."""
    query = (
        select(pool_statements.c.period)
        .join(pools, pools.c.id == pool_statements.c.pool_id)
        .where(pools.c.project_id == project_id)
        .distinct()
    )
    return sorted(connection.scalars(query), reverse=True)


def _statement(connection: Connection, row: Row[Any]) -> Statement:
    by = row.fallback or row.by
    return Statement(
        **{name: getattr(row, name) for name in _SHEET},
        name=row.name,
        name_en=row.name_en,
        building_name=row.building_name,
        building_name_en=row.building_name_en,
        master_name=row.master_name,
        resolution=row.resolution,
        uom=row.uom,
        by=by,
        is_fallback=bool(row.fallback),
        weight_uom=uom_of(by, row.uom),
        shares=_shares(connection, row.pool_id, row.period),
        exempt=_exempt(connection, row.exempt),
        meters=_meters(connection, row.meters),
    )


def _shares(connection: Connection, pool_id: str, period: str) -> tuple[Share, ...]:
    query = (
        select(
            pool_shares.c.premise_id,
            premises.c.name,
            pool_shares.c.weight,
            pool_shares.c.amount_fen,
        )
        .join(premises, premises.c.id == pool_shares.c.premise_id)
        .where(pool_shares.c.pool_id == pool_id, pool_shares.c.period == period)
        .order_by(premises.c.id)
    )
    return tuple(Share(*row) for row in connection.execute(query))


def _exempt(connection: Connection, kept: str) -> tuple[Exempt, ...]:
    rows = json.loads(kept)
    query = select(premises.c.id, premises.c.name).where(
        premises.c.id.in_([each["premise_id"] for each in rows])
    )
    names = {row.id: row.name for row in connection.execute(query)}
    return tuple(Exempt(premise_name=names.get(each["premise_id"], ""), **each) for each in rows)


def _meters(connection: Connection, kept: str) -> tuple[SharedMeter, ...]:
    public = [each for each in counted_of(kept) if each.role == PUBLIC]
    shared = {each.meter_point_id: each.quantity for each in public if each.is_shared}
    if len(shared) == len(public):
        return ()
    query = select(meter_points.c.id, meter_points.c.name).where(meter_points.c.id.in_(shared))
    rows = connection.execute(query.order_by(meter_points.c.id))
    return tuple(SharedMeter(row.name, shared[row.id]) for row in rows)
