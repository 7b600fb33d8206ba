"""A pool 公摊 as a bundle shows it: the public sheet and one premise's share, no neighbour."""

import json
from decimal import Decimal

from sqlalchemy import Connection, Row, select

from cloud.billing.bill_tables import pool_shares, pool_statements
from cloud.billing.bundle_parts import Json, parts_of
from cloud.billing.bundle_segments import tariff_of
from cloud.billing.tables import pools
from cloud.errors import NotFoundError
from cloud.metering.tables import meter_points
from cloud.money import fen_to_yuan


def pool_of(
    connection: Connection, pool_id: str, *, period: str, premise_id: str, names: tuple[str, str]
) -> Json:
    """Return a pool's month with the reads of its master and public meters; NotFoundError.

    `names` are the pool's as they were printed, in Chinese and English.
    """
    pool = connection.execute(select(pools).where(pools.c.id == pool_id)).one()
    sheet = connection.execute(
        select(pool_statements).where(
            pool_statements.c.pool_id == pool_id, pool_statements.c.period == period
        )
    ).one()
    mine, whole = _weights(connection, pool_id, period, premise_id)
    open_points = public_points(connection, pool_id)
    stored = [part for part in json.loads(sheet.evidence) if part["meter_point"] in open_points]
    return {
        "pool": pool_id,
        "name": names[0],
        "name_en": names[1],
        "kind": sheet.kind,
        "master_point": pool.master_id,
        "master": sheet.master,
        "subs": sheet.subs,
        "public": sheet.public,
        "loss": sheet.loss,
        "cap_percent": sheet.cap_percent,
        "charged": sheet.charged,
        "invoice": json.loads(sheet.invoice) if sheet.invoice else None,
        "tariff": tariff_of(connection, sheet.tariff_hash),
        "unit_price": sheet.unit_price,
        "total": fen_to_yuan(sheet.total_fen),
        "note": sheet.note,
        "weight": mine.weight,
        "weight_total": f"{whole:f}",
        "share": fen_to_yuan(mine.amount_fen),
        "parts": parts_of(connection, stored),
    }


def public_points(connection: Connection, pool_id: str) -> set[str]:
    """Return a pool's meter points that are nobody's home: the master and the public ones."""
    master = connection.scalar(select(pools.c.master_id).where(pools.c.id == pool_id))
    query = select(meter_points.c.id).where(
        (meter_points.c.id == master)
        | ((meter_points.c.parent_id == master) & (meter_points.c.role == "public"))
    )
    return set(connection.scalars(query))


def _weights(
    connection: Connection, pool_id: str, period: str, premise_id: str
) -> tuple[Row[tuple[object, ...]], Decimal]:
    shares = connection.execute(
        select(pool_shares).where(pool_shares.c.pool_id == pool_id, pool_shares.c.period == period)
    ).all()
    mine = next((share for share in shares if share.premise_id == premise_id), None)
    if mine is None:
        message = f"pool {pool_id!r} has no share of {premise_id!r} in {period}"
        raise NotFoundError(message)
    return mine, sum((Decimal(share.weight) for share in shares), Decimal(0))
