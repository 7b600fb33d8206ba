"""Pools by level, weight and exemption, what they carry, and work orders."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

from cloud.migrations.frozen import freeze, unfreeze

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

POOLS: tuple[tuple[str, Any, str], ...] = (
    ("level", sa.String(20), "building"),
    ("formula", sa.Text(), ""),
    ("fallback", sa.String(20), ""),
    ("kinds", sa.String(40), "home"),
    ("exemptions", sa.Text(), "[]"),
    ("meters", sa.Text(), ""),
)
SHEETS: tuple[tuple[str, Any, str], ...] = (
    ("level", sa.String(20), "building"),
    ("entrance", sa.String(40), ""),
    ("by", sa.String(20), "area"),
    ("formula", sa.Text(), ""),
    ("fallback", sa.String(20), ""),
    ("carried_in", sa.String(32), "0"),
    ("corrected", sa.String(32), "0"),
    ("above_cap", sa.String(32), "0"),
    ("carried_out", sa.String(32), "0"),
    ("company_fen", sa.BigInteger(), "0"),
    ("exempt", sa.Text(), "[]"),
    ("meters", sa.Text(), "[]"),
    ("corrections", sa.Text(), "[]"),
)


def upgrade() -> None:
    op.add_column("premises", sa.Column("entrance", sa.String(40), nullable=True))
    op.add_column("premises", sa.Column("floor", sa.Integer(), nullable=True))
    op.create_table(
        "premise_states",
        sa.Column("premise_id", sa.String(length=64), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["premise_id"], ["premises.id"], name=op.f("fk_premise_states_premise_id")
        ),
        sa.PrimaryKeyConstraint("premise_id", "from_on", name=op.f("pk_premise_states")),
    )
    op.add_column("pools", sa.Column("entrance", sa.String(40), nullable=True))
    for name, kind, default in POOLS:
        op.add_column("pools", sa.Column(name, kind, nullable=False, server_default=default))
    unfreeze("pool_statements")
    unfreeze("pool_shares")
    for name, kind, default in SHEETS:
        column = sa.Column(name, kind, nullable=False, server_default=default)
        op.add_column("pool_statements", column)
    facts = sa.Column("facts", sa.Text(), nullable=False, server_default="{}")
    op.add_column("pool_shares", facts)
    _fill_sheets()
    _fill_drafts()
    # every weight was an area
    op.execute("""UPDATE pool_shares SET facts = '{"area_m2": "' || weight || '"}'""")
    freeze("pool_statements")
    freeze("pool_shares")
    _add_work_orders()


def downgrade() -> None:
    unfreeze("work_order_steps")
    op.drop_table("work_order_steps")
    op.drop_index(op.f("ix_work_orders_project_id"), table_name="work_orders")
    op.drop_table("work_orders")
    unfreeze("pool_statements")
    unfreeze("pool_shares")
    op.drop_column("pool_shares", "facts")
    for name, _, _ in reversed(SHEETS):
        op.drop_column("pool_statements", name)
    freeze("pool_statements")
    freeze("pool_shares")
    for name, _, _ in reversed(POOLS):
        op.drop_column("pools", name)
    op.drop_column("pools", "entrance")
    op.drop_table("premise_states")
    op.drop_column("premises", "floor")
    op.drop_column("premises", "entrance")


def _add_work_orders() -> None:
    op.create_table(
        "work_orders",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("title_en", sa.String(length=200), nullable=False),
        sa.Column("meter_point_id", sa.String(length=64), nullable=True),
        sa.Column("pool_id", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("assignee", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.String(length=64), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_work_orders_meter_point_id")
        ),
        sa.ForeignKeyConstraint(["pool_id"], ["pools.id"], name=op.f("fk_work_orders_pool_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_work_orders_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_orders")),
        sa.UniqueConstraint("project_id", "source", name=op.f("uq_work_orders_project_id_source")),
    )
    op.create_index(op.f("ix_work_orders_project_id"), "work_orders", ["project_id"])
    op.create_table(
        "work_order_steps",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("before", sa.String(length=20), nullable=False),
        sa.Column("after", sa.String(length=20), nullable=False),
        sa.Column("assignee", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("moved_by", sa.String(length=64), nullable=False),
        sa.Column("moved_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["work_orders.id"], name=op.f("fk_work_order_steps_order_id")
        ),
        sa.PrimaryKeyConstraint("order_id", "number", name=op.f("pk_work_order_steps")),
    )
    freeze("work_order_steps")


def _fill_sheets() -> None:
    bind, sheets = op.get_bind(), _table("pool_statements")
    for row in bind.execute(sa.select(sheets)).mappings().all():
        of_sheet = (sheets.c.pool_id == row["pool_id"]) & (sheets.c.period == row["period"])
        bind.execute(sheets.update().where(of_sheet).values(**_of_then(dict(row))))


def _fill_drafts() -> None:
    # a run that waits to be posted has its sheets as drafts
    bind, drafts = op.get_bind(), _table("bill_drafts")
    keys = list(drafts.primary_key.columns)
    for row in bind.execute(sa.select(drafts).where(drafts.c.kind == "sheet")).mappings().all():
        body = msgspec.msgpack.decode(row["body"])
        body |= _of_then(body)
        body["shares"] = [
            [name, weight, fen, json.dumps({"area_m2": weight})]
            for name, weight, fen, *_ in body["shares"]
        ]
        same = sa.and_(*(column == row[column.name] for column in keys))
        bind.execute(drafts.update().where(same).values(body=msgspec.msgpack.encode(body)))


def _of_then(sheet: Mapping[str, Any]) -> dict[str, str]:
    # which meters were public is what the tree says now: the nearest that anybody knows
    bind, points, pools = op.get_bind(), _table("meter_points"), _table("pools")
    master = bind.scalar(sa.select(pools.c.master_id).where(pools.c.id == sheet["pool_id"]))
    used: dict[str, Decimal] = {}
    for part in json.loads(sheet["evidence"]):
        quantity = Decimal(str(part["quantity"])) + Decimal(part.get("true_up", "0"))
        used[part["meter_point"]] = used.get(part["meter_point"], Decimal(0)) + quantity
    query = sa.select(points.c.id, points.c.role).where(points.c.id.in_(list(used)))
    roles = {name: "public" if role == "public" else "sub" for name, role in bind.execute(query)}
    roles[str(master)] = "master"
    meters = [
        # a use was never billed below zero
        {
            "meter_point_id": name,
            "role": roles.get(name, "sub"),
            "quantity": f"{max(quantity, Decimal(0)):f}",
        }
        for name, quantity in sorted(used.items(), key=lambda item: (item[0] != master, item[0]))
    ]
    base = Decimal(sheet["public"] if sheet["kind"] == "public" else sheet["loss"])
    cap = sheet["cap_percent"]
    most = None if cap is None else Decimal(sheet["master"]) * Decimal(cap) / 100
    above = Decimal(0) if most is None else max(base - most, Decimal(0))
    return {
        "meters": json.dumps(meters),
        "carried_out": f"{min(base, Decimal(0)):f}",
        "above_cap": f"{above:f}",
    }


def _table(name: str) -> sa.Table:
    return sa.Table(name, sa.MetaData(), autoload_with=op.get_bind())
