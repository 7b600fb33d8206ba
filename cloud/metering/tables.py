"""Tables of meter points and the meters that were installed there."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table

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

installs = Table(
    "installs",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("meter_point_id", ForeignKey("meter_points.id"), nullable=False, index=True),
    Column("meter_id", String(64), nullable=False),
    Column("device_id", ForeignKey("devices.id"), nullable=False),
    Column("point", String(64), nullable=False),
    Column("exponent", Integer, nullable=False),
    Column("multiplier", String(20), nullable=False),
    Column("capacity", BigInteger),
    Column("max_per_hour", BigInteger),
    Column("installed_at_us", BigInteger, nullable=False),
    Column("removed_at_us", BigInteger),
    Column("start_count", BigInteger, nullable=False),
    Column("end_count", BigInteger),
)
