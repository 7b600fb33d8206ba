"""A pool 公摊 as a bundle shows it: the public sheet and one premise's share, no neighbour."""

import json
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, select

from cloud.billing.bill_tables import pool_shares, pool_statements
from cloud.billing.bundle_parts import Json, parts_of
from cloud.billing.bundle_segments import tariff_of
from cloud.billing.carrying import MASTER, PUBLIC
from cloud.billing.pool_repository import counted_of, facts_of
from cloud.errors import NotFoundError
from cloud.metering.registers import sum_of
from cloud.money import fen_to_yuan

# as they stand on the sheet
_FIELDS = (
    *("kind", "level", "by", "formula", "fallback"),
    *("master", "subs", "public", "loss", "cap_percent"),
    *("carried_in", "corrected", "charged", "above_cap", "carried_out", "unit_price", "note"),
)


def pool_of(
    connection: Connection, pool_id: str, *, period: str, premise_id: str, names: tuple[str, str]
) -> Json:
    """Return a pool's month with the reads of its master and public meters; NotFoundError.

    `names` are the pool's as they were printed, in Chinese and English.
    """
    sheet, mine = sheet_of(connection, pool_id, period=period, premise_id=premise_id)
    counted = counted_of(sheet.meters)
    exempt = [Decimal(each["weight"]) for each in json.loads(sheet.exempt)]
    borne = [weight for weight in exempt if weight]
    return {
        "pool": pool_id,
        "name": names[0],
        "name_en": names[1],
        **{name: getattr(sheet, name) for name in _FIELDS},
        "master_point": next((e.meter_point_id for e in counted if e.role == MASTER), ""),
        "shared_points": [e.meter_point_id for e in counted if e.role == PUBLIC and e.is_shared],
        "invoice": json.loads(sheet.invoice) if sheet.invoice else None,
        "tariff": tariff_of(connection, sheet.tariff_hash),
        "total": fen_to_yuan(sheet.total_fen),
        "company": fen_to_yuan(sheet.company_fen),
        "company_homes": len(borne),
        "company_weight": f"{sum_of(borne):f}",
        "weight": mine.weight,
        "facts": dict(facts_of(mine.facts)),
        "weight_total": f"{weight_total(connection, sheet):f}",
        "share": fen_to_yuan(mine.amount_fen),
        "parts": parts_of(connection, public_parts(sheet)),
    }


def sheet_of(
    connection: Connection, pool_id: str, *, period: str, premise_id: str
) -> tuple[Row[Any], Row[Any]]:
    """Return a posted sheet and a premise's share of it; NotFoundError."""
    statement = select(pool_statements).where(
        pool_statements.c.pool_id == pool_id, pool_statements.c.period == period
    )
    sheet = connection.execute(statement).one()
    share = select(pool_shares).where(
        pool_shares.c.pool_id == pool_id,
        pool_shares.c.period == period,
        pool_shares.c.premise_id == premise_id,
    )
    mine = connection.execute(share).one_or_none()
    if mine is None:
        message = f"pool {pool_id!r} has no share of {premise_id!r} in {period}"
        raise NotFoundError(message)
    return sheet, mine


def weight_total(connection: Connection, sheet: Row[Any]) -> Decimal:
    """Return the sum of the weights of a sheet: of the shares, and of what the company bears."""
    weights = select(pool_shares.c.weight).where(
        pool_shares.c.pool_id == sheet.pool_id, pool_shares.c.period == sheet.period
    )
    every = [*connection.scalars(weights), *(each["weight"] for each in json.loads(sheet.exempt))]
    return sum_of([Decimal(weight) for weight in every])


def public_parts(sheet: Row[Any]) -> list[Json]:
    """Return what a sheet keeps of the meters that were nobody's home when it was posted.

    Neighbours' meters stay closed.
    """
    counted = counted_of(sheet.meters)
    open_points = {each.meter_point_id for each in counted if each.role in (MASTER, PUBLIC)}
    parts: list[Json] = json.loads(sheet.evidence)
    return [part for part in parts if part["meter_point"] in open_points]
