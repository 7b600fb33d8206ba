"""Tables of commands with their trail, and of what must be on file before anything is cut off."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from cloud.database import Identity, metadata

commands = Table(
    "commands",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("gateway_id", ForeignKey("gateways.id"), nullable=False),
    # a device of the gateway; empty for the gateway itself
    Column("target", String(64), nullable=False),
    Column("action", String(20), nullable=False),
    Column("pulse_ms", Integer, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("asked_by", String(64), nullable=False),
    Column("why", Text, nullable=False),
    Column("asked_us", BigInteger, nullable=False),
    Column("confirmed_by", String(64)),
    Column("state", String(16), nullable=False),
    Column("counter", BigInteger),
    Column("nonce", String(64)),
    Column("expires_us", BigInteger),
    # codes of refusal, or what the gateway said
    Column("said", Text, nullable=False, server_default=""),
    Column("changed_us", BigInteger, nullable=False),
    Index("ix_commands_project_id_asked_us", "project_id", "asked_us"),
    Index("ix_commands_gateway_id_counter", "gateway_id", "counter"),
    Index("ix_commands_state", "state"),
)

# never updated (triggers see to it)
command_steps = Table(
    "command_steps",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("command_id", ForeignKey("commands.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("by", String(64), nullable=False),
    Column("said", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)

# cutting off is refused until there is a row; the newest of a project and service counts
cut_off_terms = Table(
    "cut_off_terms",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("service", String(20), nullable=False),
    Column("in_force", Boolean, nullable=False),
    Column("licensed_by", String(20), nullable=False),
    Column("licence", Text, nullable=False),
    Column("grace_fen", BigInteger, nullable=False),
    Column("notice_days", Integer, nullable=False),
    Column("from_minute", Integer, nullable=False),
    Column("until_minute", Integer, nullable=False),
    # by year, as JSON
    Column("holidays", Text, nullable=False),
    Column("set_by", String(64), nullable=False),
    Column("set_us", BigInteger, nullable=False),
)

cut_off_notices = Table(
    "cut_off_notices",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("service", String(20), nullable=False),
    Column("noticed_on", Date, nullable=False),
    Column("channel", String(20), nullable=False),
    Column("note", Text, nullable=False),
    Column("balance_fen", BigInteger, nullable=False),
    Column("noticed_by", String(64), nullable=False),
    Column("noticed_us", BigInteger, nullable=False),
)

# who has agreed to pay for a service before using it
prepaid_services = Table(
    "prepaid_services",
    metadata,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True),
    Column("service", String(20), primary_key=True),
    Column("agreed_on", Date, nullable=False),
    Column("source", Text, nullable=False),
    Column("set_by", String(64), nullable=False),
    Column("set_us", BigInteger, nullable=False),
)

RECORDED = ("command_steps", "cut_off_terms", "cut_off_notices")
