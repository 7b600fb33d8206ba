"""Tables of what is charged to whom: services, terms, discounts, pools, supplier invoices."""

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cloud.database import Identity, metadata

# which tariff serves a meter point, from when on
services = Table(
    "services",
    metadata,
    Column("meter_point_id", ForeignKey("meter_points.id"), primary_key=True),
    Column("tariff_id", String(64), nullable=False),
    Column("cutover_on", Date, nullable=False),
)

# what an account had used of its tier period before we began to bill
opening_uses = Table(
    "opening_uses",
    metadata,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True),
    Column("service", String(20), primary_key=True),
    Column("as_of", Date, nullable=False),
    Column("quantity", String(32), nullable=False),
)

# what an account owes whether it uses anything or not: property fee, parking, garbage
charge_terms = Table(
    "charge_terms",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("item", String(40), nullable=False),
    Column("tariff_id", String(64), nullable=False),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date),
    Column("cycle_months", Integer, nullable=False),
    Column("in_advance", Boolean, nullable=False),
    # facts of the premise that this term has its own of, as JSON: vehicles, floor, area_m2
    Column("facts", Text, nullable=False),
    UniqueConstraint("account_id", "item", "from_on"),
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
    # building_id is the master's where a pool is the whole project's
    Column("level", String(20), nullable=False, server_default="building"),
    Column("entrance", String(40)),
    Column("formula", Text, nullable=False, server_default=""),
    Column("fallback", String(20), nullable=False, server_default=""),
    Column("kinds", String(40), nullable=False, server_default="home"),
    # who is exempt and who bears their part, as JSON; public meters, none means all
    Column("exemptions", Text, nullable=False, server_default="[]"),
    Column("meters", Text, nullable=False, server_default=""),
)

tariff_texts = Table(
    "tariff_texts",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("tariff_id", String(64), nullable=False),
    Column("text", Text, nullable=False),
)
