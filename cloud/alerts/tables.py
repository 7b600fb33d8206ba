"""Tables of alert rules, what they remember, and alerts."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, text

from cloud.database import Identity, metadata

alert_rules = Table(
    "alert_rules",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("point", String(64), nullable=False),
    Column("devices", Text, nullable=False),
    Column("raise_at", String(32), nullable=False),
    Column("clear_at", String(32), nullable=False),
    Column("duration_s", Integer, nullable=False),
)

alert_states = Table(
    "alert_states",
    metadata,
    Column("cause", String(200), primary_key=True),
    Column("since_us", BigInteger),
    Column("active", Integer, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("cause", String(200), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("rule_id", String(64)),
    Column("gateway_id", String(64)),
    Column("device_id", String(64)),
    Column("detail", Text, nullable=False),
    Column("raised_us", BigInteger, nullable=False),
    Column("acknowledged_us", BigInteger),
    Column("acknowledged_by", String(100)),
    Column("cleared_us", BigInteger),
    # one open alert per cause
    Index(
        "uq_alerts_open_cause",
        "cause",
        unique=True,
        sqlite_where=text("cleared_us IS NULL"),
        postgresql_where=text("cleared_us IS NULL"),
    ),
)
