"""Tables of who and what is on a site."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from cloud.database import Identity, metadata

projects = Table(
    "projects",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("time_zone", String(64), nullable=False),
)

buildings = Table(
    "buildings",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("position", Integer, nullable=False),
)

premises = Table(
    "premises",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("building_id", ForeignKey("buildings.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("area_m2", String(20), nullable=False),
    Column("people", Integer, nullable=False),
    Column("households", Integer, nullable=False),
    Column("holder", String(100), nullable=False),
    Column("phone", String(40), nullable=False),
    # 单元 and 楼层, where they are known
    Column("entrance", String(40)),
    Column("floor", Integer),
)

# what a premise stands as from a day on: occupied (before its first row, too), vacant, unsold
premise_states = Table(
    "premise_states",
    metadata,
    Column("premise_id", ForeignKey("premises.id"), primary_key=True),
    Column("from_on", Date, primary_key=True),
    Column("state", String(20), nullable=False),
)

gateways = Table(
    "gateways",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("install_id", String(64)),
    Column("boot_id", String(64)),
    Column("firmware", String(64)),
    Column("last_seen_us", BigInteger),
    Column("backlog", Integer, nullable=False, server_default="0"),
    # of its last HELLO: what a command must answer
    Column("hello_nonce", String(64)),
    Column("hello_us", BigInteger),
)

devices = Table(
    "devices",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("gateway_id", ForeignKey("gateways.id"), nullable=False),
    Column("building_id", ForeignKey("buildings.id")),
    Column("premise_id", ForeignKey("premises.id")),
    Column("name", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("medium", String(20), nullable=False),
    Column("profile", String(64), nullable=False),
    Column("period_s", Integer, nullable=False),
)

channels = Table(
    "channels",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("gateway_id", String(64), nullable=False),
    Column("device_id", String(64), nullable=False, index=True),
    Column("point", String(64), nullable=False),
    Column("uom", String(16), nullable=False),
    Column("exponent", Integer, nullable=False),
    UniqueConstraint("gateway_id", "device_id", "point", "uom", "exponent"),
)

users = Table(
    "users",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("username", String(64), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("role", String(32), nullable=False),
    Column("premise_id", ForeignKey("premises.id")),
    Column("password_hash", String(200), nullable=False),
    Column("active", Boolean, nullable=False, server_default="1"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)
