"""Public sheets keep what priced them: kind, cap, the supplier's invoice and the tariff."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

from cloud.migrations.frozen import freeze, unfreeze

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TARIFF = "cn-supplier-invoice-electricity"
NEW = ("kind", "cap_percent", "invoice", "tariff_hash")


def upgrade() -> None:
    unfreeze("pool_statements")
    op.add_column("pool_statements", sa.Column("kind", sa.String(length=20), nullable=True))
    op.add_column("pool_statements", sa.Column("cap_percent", sa.String(length=16), nullable=True))
    op.add_column("pool_statements", sa.Column("invoice", sa.Text(), nullable=True))
    op.add_column("pool_statements", sa.Column("tariff_hash", sa.String(length=64), nullable=True))
    bind = op.get_bind()
    sheets = _table("pool_statements")
    for row in bind.execute(sa.select(sheets.c.pool_id, sheets.c.period)).all():
        of_sheet = (sheets.c.pool_id == row.pool_id) & (sheets.c.period == row.period)
        found = _priced_by(row.pool_id, row.period)
        bind.execute(sheets.update().where(of_sheet).values(**found))
    _renew_drafts()
    with op.batch_alter_table("pool_statements") as batch:
        batch.alter_column("kind", existing_type=sa.String(length=20), nullable=False)
    freeze("pool_statements")


def downgrade() -> None:
    # a draft's new fields are passed over by who doesn't know them
    unfreeze("pool_statements")
    for name in reversed(NEW):
        op.drop_column("pool_statements", name)
    freeze("pool_statements")


def _priced_by(pool_id: str, period: str) -> dict[str, str | None]:
    # what is on file now is the nearest that anybody knows of what was then
    bind = op.get_bind()
    pools, invoices = _table("pools"), _table("supplier_invoices")
    pool = bind.execute(sa.select(pools).where(pools.c.id == pool_id)).one()
    query = sa.select(invoices.c.amount, invoices.c.quantity).where(
        invoices.c.meter_point_id == pool.master_id, invoices.c.period == period
    )
    invoice = bind.execute(query).mappings().one_or_none()
    return {
        "kind": pool.kind,
        "cap_percent": pool.cap_percent,
        "invoice": None if invoice is None else json.dumps(dict(invoice)),
        "tariff_hash": _tariff_of(date.fromisoformat(f"{period}-01")),
    }


def _tariff_of(day: date) -> str | None:
    # none where two texts that are on file say that they were in force
    texts = _table("tariff_texts")
    query = sa.select(texts.c.hash, texts.c.text).where(texts.c.tariff_id == TARIFF)
    rows = op.get_bind().execute(query).all()
    found = [row.hash for row in rows if _is_in_force(json.loads(row.text), day)]
    return found[0] if len(found) == 1 else None


def _is_in_force(tariff: Mapping[str, Any], day: date) -> bool:
    until = tariff["effective_to"] or "9999-12-31"
    return bool(tariff["effective_from"] <= day.isoformat() < until)


def _renew_drafts() -> None:
    # a run that waits to be posted has its sheets as drafts
    bind, drafts = op.get_bind(), _table("bill_drafts")
    keys: Sequence[Any] = list(drafts.primary_key.columns)
    for row in bind.execute(sa.select(drafts).where(drafts.c.kind == "sheet")).mappings().all():
        body = msgspec.msgpack.decode(row["body"])
        found = _priced_by(body["pool_id"], body["period"])
        body |= {name: found[name] or body.get(name, "") for name in NEW}
        same = sa.and_(*(column == row[column.name] for column in keys))
        bind.execute(drafts.update().where(same).values(body=msgspec.msgpack.encode(body)))


def _table(name: str) -> sa.Table:
    return sa.Table(name, sa.MetaData(), autoload_with=op.get_bind())
