"""Tables of verdicts on reads, their edits, and reads that people took."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cloud.database import Identity, metadata

# how far a meter's reads are screened, by week: rows that were there, and where screening stands
screenings = Table(
    "screenings",
    metadata,
    Column("meter_point_id", ForeignKey("meter_points.id"), primary_key=True),
    Column("installed_at_us", BigInteger, primary_key=True, autoincrement=False),
    Column("week", Integer, primary_key=True, autoincrement=False),
    Column("rows", Integer, nullable=False),
    Column("state", Text, nullable=False),
)

# one verdict may speak of several reads in a row
read_verdicts = Table(
    "read_verdicts",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("meter_point_id", ForeignKey("meter_points.id"), nullable=False),
    Column("installed_at_us", BigInteger, nullable=False),
    Column("week", Integer, nullable=False),
    Column("rule", String(20), nullable=False),
    Column("kept", Integer, nullable=False),
    Column("read_at_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("reads", Integer, nullable=False),
    Column("count", BigInteger),
    Column("source", String(80), nullable=False),
    Column("against_at_us", BigInteger),
    Column("against_count", BigInteger),
    Column("parameters", Text, nullable=False),
    Column("judged_us", BigInteger, nullable=False),
    Index("ix_read_verdicts_meter_point_id_read_at_us", "meter_point_id", "read_at_us"),
)

# the versions of a read; the raw one is version 0 and stays where it is
read_edits = Table(
    "read_edits",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("meter_point_id", ForeignKey("meter_points.id"), nullable=False),
    Column("read_at_us", BigInteger, nullable=False),
    Column("source", String(80), nullable=False),
    Column("version", Integer, nullable=False),
    Column("action", String(16), nullable=False),
    Column("count", BigInteger),
    Column("edited_by", String(100), nullable=False),
    Column("why", Text, nullable=False),
    Column("edited_us", BigInteger, nullable=False),
    UniqueConstraint("meter_point_id", "read_at_us", "source", "version"),
)

read_imports = Table(
    "read_imports",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("imported_by", String(100), nullable=False),
    Column("imported_us", BigInteger, nullable=False),
    Column("undone_by", String(100)),
    Column("undone_us", BigInteger),
)

read_rounds = Table(
    "read_rounds",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("read_on", Date, nullable=False),
    Column("opened_by", String(100), nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("closed_by", String(100)),
    Column("closed_us", BigInteger),
)

round_points = Table(
    "round_points",
    metadata,
    Column("round_id", ForeignKey("read_rounds.id"), primary_key=True),
    Column("meter_point_id", ForeignKey("meter_points.id"), primary_key=True),
    Column("route", String(100), nullable=False),
    Column("position", Integer, nullable=False),
)

# a read is withdrawn, never changed
manual_reads = Table(
    "manual_reads",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("meter_point_id", ForeignKey("meter_points.id"), nullable=False),
    Column("read_at_us", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("rule", String(20), nullable=False),
    Column("taken_by", String(100), nullable=False),
    Column("photo", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Column("answer", String(200), nullable=False),
    Column("import_id", ForeignKey("read_imports.id"), index=True),
    Column("round_id", ForeignKey("read_rounds.id"), index=True),
    Column("entered_us", BigInteger, nullable=False),
    Column("withdrawn_by", String(100)),
    Column("withdrawn_us", BigInteger),
    Column("withdrawn_why", Text),
    Index("ix_manual_reads_meter_point_id_read_at_us", "meter_point_id", "read_at_us"),
)

RECORDED = ("read_edits",)
