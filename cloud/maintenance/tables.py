"""Tables of work orders 工单 and of their steps, which never change (triggers see to it)."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cloud.database import Identity, metadata

# `source` names what opened it: the same thing opens one order
work_orders = Table(
    "work_orders",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("source", String(128), nullable=False),
    Column("title", String(200), nullable=False),
    Column("title_en", String(200), nullable=False),
    Column("meter_point_id", ForeignKey("meter_points.id")),
    Column("pool_id", ForeignKey("pools.id")),
    Column("state", String(20), nullable=False),
    Column("assignee", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("opened_by", String(64), nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    UniqueConstraint("project_id", "source"),
)

work_order_steps = Table(
    "work_order_steps",
    metadata,
    Column("order_id", BigInteger, ForeignKey("work_orders.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("before", String(20), nullable=False),
    Column("after", String(20), nullable=False),
    Column("assignee", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("moved_by", String(64), nullable=False),
    Column("moved_us", BigInteger, nullable=False),
)
