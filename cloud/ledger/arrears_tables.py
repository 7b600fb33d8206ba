"""Tables of arrears: what contracts say of lateness, and how payers were reminded."""

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Integer, String, Table, Text

from cloud.database import Identity, metadata

# none by default: a late charge stands in the contract
late_terms = Table(
    "late_terms",
    metadata,
    Column("project_id", ForeignKey("projects.id"), primary_key=True),
    Column("item", String(40), primary_key=True),
    Column("rate_per_day", String(16), nullable=False),
    Column("due_days", Integer, nullable=False),
    Column("grace_days", Integer, nullable=False),
    Column("cap", String(16), nullable=False),
    # where it is written: contract and clause
    Column("source", Text, nullable=False),
)

reminders = Table(
    "reminders",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("reminded_on", Date, nullable=False),
    Column("channel", String(20), nullable=False),
    Column("cause", String(20), nullable=False),
    Column("note", Text, nullable=False),
    Column("owed_fen", BigInteger, nullable=False),
    Column("reminded_by", String(64), nullable=False),
    Column("reminded_us", BigInteger, nullable=False),
)

RECORDED = ("reminders",)
