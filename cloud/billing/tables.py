"""Tables of accounts, pools and bills; what is posted is never updated (triggers see to it)."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cloud.database import metadata

# which tariff serves a premise's service, and what was used before we began to bill
services = Table(
    "services",
    metadata,
    Column("meter_point_id", ForeignKey("meter_points.id"), primary_key=True),
    Column("tariff_id", String(64), nullable=False),
    Column("cutover_on", Date, nullable=False),
    Column("used_before", String(32), nullable=False),
)

supplier_invoices = Table(
    "supplier_invoices",
    metadata,
    Column("meter_point_id", ForeignKey("meter_points.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("number", String(64), nullable=False),
    Column("quantity", String(32), nullable=False),
    Column("amount", String(32), nullable=False),
)

# allocation is off until a resolution and a cap are on file
pools = Table(
    "pools",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("building_id", ForeignKey("buildings.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("master_id", ForeignKey("meter_points.id"), nullable=False),
    Column("weight", String(20), nullable=False),
    Column("resolution", Text),
    Column("resolution_on", Date),
    Column("cap_percent", String(16)),
)

tariff_texts = Table(
    "tariff_texts",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("tariff_id", String(64), nullable=False),
    Column("text", Text, nullable=False),
)

bill_runs = Table(
    "bill_runs",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("finished_us", BigInteger, nullable=False),
    Column("bills", Integer, nullable=False),
    Column("held", Integer, nullable=False),
)

# what could not be billed, and why; looked at by a clerk
exceptions = Table(
    "bill_exceptions",
    metadata,
    Column("meter_point_id", ForeignKey("meter_points.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("reason", Text, nullable=False),
)

pool_statements = Table(
    "pool_statements",
    metadata,
    Column("pool_id", ForeignKey("pools.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("master", String(32), nullable=False),
    Column("subs", String(32), nullable=False),
    Column("public", String(32), nullable=False),
    Column("loss", String(32), nullable=False),
    Column("charged", String(32), nullable=False),
    Column("unit_price", String(32), nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("evidence", Text, nullable=False),
)

pool_shares = Table(
    "pool_shares",
    metadata,
    Column("pool_id", ForeignKey("pools.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("premise_id", ForeignKey("premises.id"), primary_key=True),
    Column("weight", String(20), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
)

bills = Table(
    "bills",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("premise_id", ForeignKey("premises.id"), nullable=False),
    Column("service", String(20), nullable=False),
    Column("period", String(7), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("holder", String(100), nullable=False),
    Column("tariff_id", String(64)),
    Column("tariff_hash", String(64)),
    Column("quantity", String(32)),
    Column("estimated", Integer, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("posted_us", BigInteger, nullable=False),
    UniqueConstraint("premise_id", "service", "period", "revision"),
)

line_items = Table(
    "line_items",
    metadata,
    Column("bill_id", ForeignKey("bills.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("code", String(64), nullable=False),
    Column("description", String(200), nullable=False),
    Column("description_en", String(200), nullable=False),
    Column("quantity", String(32), nullable=False),
    Column("uom", String(16), nullable=False),
    Column("unit_price", String(32), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("formula", Text, nullable=False),
    Column("evidence", Text, nullable=False),
)

POSTED = ("bills", "line_items", "pool_statements", "pool_shares")
