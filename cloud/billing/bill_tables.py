"""Tables of bills and public sheets; what is posted is never updated (triggers see to it)."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cloud.database import metadata

# `inputs` is what a bill was rated from, as JSON, one object for each segment of its span
bills = Table(
    "bills",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("number", String(40), nullable=False),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("premise_id", ForeignKey("premises.id"), nullable=False),
    Column("service", String(40), nullable=False),
    Column("period", String(7), nullable=False),
    # tells bills of one service and period apart, where there may be several
    Column("part", String(40), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date, nullable=False),
    Column("holder", String(100), nullable=False),
    Column("tariff_id", String(64)),
    Column("tariff_hash", String(64)),
    Column("quantity", String(32)),
    Column("carried", String(32), nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("posted_us", BigInteger, nullable=False),
    UniqueConstraint("account_id", "service", "period", "part", "revision"),
    UniqueConstraint("project_id", "number"),
)

line_items = Table(
    "line_items",
    metadata,
    Column("bill_id", ForeignKey("bills.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("code", String(64), nullable=False),
    Column("description", String(200), nullable=False),
    Column("description_en", String(200), nullable=False),
    Column("quantity", String(32), nullable=False),
    Column("uom", String(16), nullable=False),
    Column("unit_price", String(32), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("formula", Text, nullable=False),
)

# 冲红: it takes back a whole bill; what is right instead is posted after it
credit_notes = Table(
    "credit_notes",
    metadata,
    Column("bill_id", ForeignKey("bills.id"), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("number", String(40), nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("posted_by", String(64), nullable=False),
    Column("posted_us", BigInteger, nullable=False),
    UniqueConstraint("project_id", "number"),
)

pool_statements = Table(
    "pool_statements",
    metadata,
    Column("pool_id", ForeignKey("pools.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("master", String(32), nullable=False),
    Column("subs", String(32), nullable=False),
    Column("public", String(32), nullable=False),
    Column("loss", String(32), nullable=False),
    Column("charged", String(32), nullable=False),
    Column("unit_price", String(32), nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    # what priced it, however the pool and the invoice are changed later; null where none knew
    Column("kind", String(20), nullable=False),
    Column("cap_percent", String(16)),
    Column("invoice", Text),
    Column("tariff_hash", String(64)),
    # who took part, what weighed them, and what was used in its place where all weights were 0
    Column("level", String(20), nullable=False, server_default="building"),
    Column("entrance", String(40), nullable=False, server_default=""),
    Column("by", String(20), nullable=False, server_default="area"),
    Column("formula", Text, nullable=False, server_default=""),
    Column("fallback", String(20), nullable=False, server_default=""),
    # from the sheet before and from corrections since; what the company bears; for the next sheet
    Column("carried_in", String(32), nullable=False, server_default="0"),
    Column("corrected", String(32), nullable=False, server_default="0"),
    Column("above_cap", String(32), nullable=False, server_default="0"),
    Column("carried_out", String(32), nullable=False, server_default="0"),
    Column("company_fen", BigInteger, nullable=False, server_default="0"),
    # as JSON: who is exempt and why, meter points as they were counted, corrections of them
    Column("exempt", Text, nullable=False, server_default="[]"),
    Column("meters", Text, nullable=False, server_default="[]"),
    Column("corrections", Text, nullable=False, server_default="[]"),
)

pool_shares = Table(
    "pool_shares",
    metadata,
    Column("pool_id", ForeignKey("pools.id"), primary_key=True),
    Column("period", String(7), primary_key=True),
    Column("premise_id", ForeignKey("premises.id"), primary_key=True),
    Column("weight", String(20), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    # where the weight is from, as JSON
    Column("facts", Text, nullable=False, server_default="{}"),
)

POSTED = ("bills", "line_items", "credit_notes", "pool_statements", "pool_shares")
