"""Tables of bill runs: what is being worked out, by whom it was claimed, and what was held."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from cloud.database import metadata

# number 1 bills a period, later ones bill it again; `first` is the first period of those
bill_runs = Table(
    "bill_runs",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("first", String(7), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("allow_unverified", Boolean, nullable=False),
    Column("started_by", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("posted_us", BigInteger),
    Column("finished_us", BigInteger),
    Column("bills", Integer, nullable=False),
    Column("credits", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
)

_RUN = ("project_id", "period", "number")


def _of_run() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(_RUN, [f"bill_runs.{name}" for name in _RUN])


# accounts by their place in the order of ids: a transaction does one phase of one shard, whole
run_shards = Table(
    "run_shards",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("accounts", Text, nullable=False),
    # the last phase that is done
    Column("done", String(16), nullable=False),
    Column("first_bill", BigInteger, nullable=False),
    Column("first_credit", BigInteger, nullable=False),
    _of_run(),
)

# bills as they will be posted; gone when they are
drafts = Table(
    "bill_drafts",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(10), nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _of_run(),
)

# what each meter point used, for the pools and the next month's true-up 退补
uses = Table(
    "draft_uses",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("meter_point_id", ForeignKey("meter_points.id"), primary_key=True),
    Column("shard", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _of_run(),
)

# what could not be billed, and why; looked at by a clerk
exceptions = Table(
    "bill_exceptions",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    # a meter point, a pool, or an account and its charge item
    Column("subject", String(128), primary_key=True),
    Column("meter_point_id", ForeignKey("meter_points.id")),
    Column("account_id", ForeignKey("accounts.id")),
    Column("reason", Text, nullable=False),
)
