"""Tables of meter points, what happened at them, who uses them, and what was billed of them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text

from cloud.database import Identity, metadata

meter_points = Table(
    "meter_points",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("building_id", ForeignKey("buildings.id"), nullable=False),
    Column("premise_id", ForeignKey("premises.id")),
    Column("parent_id", ForeignKey("meter_points.id")),
    Column("name", String(200), nullable=False),
    Column("service", String(20), nullable=False),
    Column("uom", String(16), nullable=False),
    Column("role", String(20), nullable=False),
    Column("supply", String(20), nullable=False),
)

# what meter_events say, worked out: one row for each stretch in which a register counts on
installs = Table(
    "installs",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("meter_point_id", ForeignKey("meter_points.id"), nullable=False, index=True),
    Column("meter_id", String(64), nullable=False),
    Column("device_id", ForeignKey("devices.id")),
    Column("point", String(64)),
    Column("exponent", Integer, nullable=False),
    Column("multiplier", String(20), nullable=False),
    Column("capacity", BigInteger),
    Column("max_per_hour", BigInteger),
    Column("installed_at_us", BigInteger, nullable=False),
    Column("removed_at_us", BigInteger),
    Column("start_count", BigInteger, nullable=False),
    Column("end_count", BigInteger),
    Column("end_rolls_over", Integer, nullable=False, server_default="0"),
    Column("idle_from_us", BigInteger),
)

# never updated (triggers see to it): a correction is a new event that supersedes
meter_events = Table(
    "meter_events",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("meter_point_id", ForeignKey("meter_points.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("until_us", BigInteger),
    Column("before_count", BigInteger),
    Column("after_count", BigInteger),
    Column("meter_id", String(64)),
    Column("exponent", Integer),
    Column("multiplier", String(20)),
    Column("capacity", BigInteger),
    Column("max_per_hour", BigInteger),
    Column("device_id", ForeignKey("devices.id")),
    Column("point", String(64)),
    Column("rule", String(16)),
    Column("recorded_by", String(100), nullable=False),
    Column("why", Text, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("supersedes", ForeignKey("meter_events.id")),
)

# whose a meter point is where it is not its premise's alone; weights say each one's part
account_meters = Table(
    "account_meters",
    metadata,
    Column("account_id", String(64), primary_key=True),
    Column("meter_point_id", ForeignKey("meter_points.id"), primary_key=True),
    Column("from_us", BigInteger, primary_key=True, autoincrement=False),
    Column("to_us", BigInteger),
    Column("weight", String(20), nullable=False),
)

# what was billed of a span; one that is open is trued up 退补 by the next
closings = Table(
    "closings",
    metadata,
    Column("meter_point_id", ForeignKey("meter_points.id"), primary_key=True),
    Column("end_us", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("start_us", BigInteger, nullable=False),
    Column("quantity", String(32), nullable=False),
    Column("is_open", Integer, nullable=False),
    Column("rules", String(200), nullable=False),
    Column("closed_us", BigInteger, nullable=False),
)

RECORDED = ("meter_events", "closings")
