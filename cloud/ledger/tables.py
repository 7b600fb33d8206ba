"""Tables of accounts and of the books; entries are never changed (triggers see to it)."""

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
    UniqueConstraint,
)

from cloud.database import Identity, metadata

# who is charged for a premise, for as long as they hold it
accounts = Table(
    "accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("premise_id", ForeignKey("premises.id"), nullable=False, index=True),
    Column("holder", String(100), nullable=False),
    Column("opened_on", Date, nullable=False),
    Column("closed_on", Date),
    # the day of a move-in, where it is known; and whose annual use counts on
    Column("held_from", Date),
    Column("continues", String(64)),
)

# `key` is the payer's or the bill's: what comes twice is entered once; `request` tells twins apart
entries = Table(
    "ledger_entries",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    # what it counts as in reports: for a 作废 that of the entry it undoes
    Column("counts_as", String(20), nullable=False),
    Column("key", String(100), nullable=False),
    Column("request", String(64), nullable=False),
    Column("number", String(40)),
    Column("reverses", ForeignKey("ledger_entries.id"), unique=True),
    Column("entered_on", Date, nullable=False),
    Column("entered_us", BigInteger, nullable=False),
    Column("entered_by", String(64), nullable=False),
    Column("note", Text, nullable=False),
    UniqueConstraint("project_id", "key"),
    UniqueConstraint("project_id", "number"),
    Index("ix_ledger_entries_project_id_entered_on", "project_id", "entered_on"),
)

lines = Table(
    "ledger_lines",
    metadata,
    Column("entry_id", ForeignKey("ledger_entries.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("book", String(20), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("period", String(7)),
    Column("item", String(40)),
    Column("late", Boolean, nullable=False),
    Column("channel", String(20), nullable=False),
)

# the last number of each kind of document: it has no gaps, as its row is locked by who takes one
numbers = Table(
    "document_numbers",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("last", BigInteger, nullable=False),
)

approval_rules = Table(
    "approval_rules",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("steps", Integer, nullable=False),
)

requests = Table(
    "approval_requests",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    # a discount plan is of no account
    Column("account_id", ForeignKey("accounts.id"), index=True),
    Column("kind", String(20), nullable=False),
    Column("subject", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_us", BigInteger, nullable=False),
)

# a person decides once; the request is settled by its last step, or by the first refusal
decisions = Table(
    "approval_decisions",
    metadata,
    Column("request_id", ForeignKey("approval_requests.id"), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("decided_by", String(64), nullable=False),
    Column("decided_us", BigInteger, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("entry_id", ForeignKey("ledger_entries.id")),
    UniqueConstraint("request_id", "decided_by"),
)

FROZEN = ("ledger_entries", "ledger_lines", "approval_requests", "approval_decisions")
