"""Tables of payment orders, of what the channels said, and of refunds."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cloud.database import Identity, metadata

orders = Table(
    "payment_orders",
    metadata,
    Column("number", String(32), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("channel", String(20), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("subject", String(127), nullable=False),
    Column("state", String(20), nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    # what the payer opens; none before the channel has answered
    Column("opens", Text),
    Column("transaction_id", String(64)),
    # by the channel's clock: its daily bill goes by that
    Column("paid_us", BigInteger),
    # paid after it was closed: somebody should look at it
    Column("is_late", Boolean, nullable=False),
    Column("entry_id", ForeignKey("ledger_entries.id")),
    # when to ask the channel next; none where nothing more can come
    Column("ask_us", BigInteger, index=True),
    UniqueConstraint("channel", "transaction_id"),
    Index("ix_payment_orders_channel_paid_us", "channel", "paid_us"),
)

# every signed word of a channel about money, as it came: evidence, never changed
notices = Table(
    "payment_notices",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("channel", String(20), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("source", String(20), nullable=False),
    Column("number", Text, nullable=False),
    Column("transaction_id", Text, nullable=False),
    Column("amount_fen", BigInteger),
    Column("verdict", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signature", Text, nullable=False),
    Column("plain", Text, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    UniqueConstraint("channel", "digest"),
)

refunds = Table(
    "payment_refunds",
    metadata,
    Column("number", String(32), primary_key=True),
    Column("request_id", ForeignKey("approval_requests.id"), nullable=False, unique=True),
    Column("order_number", ForeignKey("payment_orders.number"), nullable=False, index=True),
    Column("amount_fen", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("refund_id", String(64), nullable=False),
    Column("why", Text, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("ask_us", BigInteger, index=True),
)

EVIDENCE = ("payment_notices",)
