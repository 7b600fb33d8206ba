"""Tables of proofs: gateways' public keys, their signatures, batches whose root was checked."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    text,
)

from cloud.database import metadata

# a key vouches for what was received from `valid_from_us` on and before it was revoked
gateway_keys = Table(
    "gateway_keys",
    metadata,
    Column("gateway_id", ForeignKey("gateways.id"), primary_key=True),
    Column("key", LargeBinary(32), primary_key=True),
    Column("valid_from_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
)

# `verified` is NULL until there is a key to judge by and the envelope that is signed
signatures = Table(
    "signatures",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("epoch", LargeBinary(8), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("signature", LargeBinary(64), primary_key=True),
    Column("hash", LargeBinary(32), nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("key", LargeBinary(32)),
    Column("verified", Boolean),
    Index(
        "ix_signatures_waiting",
        "gateway_id",
        sqlite_where=text("verified IS NULL"),
        postgresql_where=text("verified IS NULL"),
    ),
)

checked_batches = Table(
    "checked_batches",
    metadata,
    Column("batch_id", LargeBinary(16), primary_key=True),
    Column("checked_us", BigInteger, nullable=False),
    Column("good", Boolean, nullable=False),
)
