"""Tables of the delivery protocol: lanes, envelopes, raw batches, quarantine, outbox."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from cloud.database import Identity, metadata

# one row per epoch of a lane; epochs are 64 unsigned bits and so kept as eight bytes
lanes = Table(
    "lanes",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("epoch", LargeBinary(8), primary_key=True),
    Column("through", BigInteger, nullable=False),
    Column("hash_through", LargeBinary(32), nullable=False),
    Column("fenced", Boolean, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
)

generations = Table(
    "generations",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("generation", BigInteger, nullable=False),
)

envelopes = Table(
    "envelopes",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("epoch", LargeBinary(8), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("batch_id", LargeBinary(16), nullable=False, index=True),
    Column("prev_hash", LargeBinary(32), nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("received_us", BigInteger, nullable=False),
)

# the evidence: the very bytes that the gateway sealed
batches = Table(
    "batches",
    metadata,
    Column("batch_id", LargeBinary(16), primary_key=True),
    Column("gateway_id", String(64), nullable=False),
    Column("lane", Integer, nullable=False),
    Column("payload_hash", LargeBinary(32), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("records", Integer, nullable=False),
    Column("received_us", BigInteger, nullable=False),
)

# batches of which a gateway could keep only a part, in `batch_id`; they are known for ever
replaced_batches = Table(
    "replaced_batches",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("replaced_id", LargeBinary(16), primary_key=True),
    Column("batch_id", LargeBinary(16), nullable=False, index=True),
    Column("stored", Boolean, nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("gateway_id", String(64), nullable=False),
    Column("lane", Integer, nullable=False),
    Column("batch_id", LargeBinary(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_us", BigInteger, nullable=False),
)

# what billing and alerts have still to look at, written in the transaction that stored it
outbox = Table(
    "outbox",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("gateway_id", String(64), nullable=False),
    Column("batch_id", LargeBinary(16), nullable=False),
    Index("ix_outbox_gateway_id", "gateway_id"),
    sqlite_autoincrement=True,
)
