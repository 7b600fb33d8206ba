"""Tables of the mirror: the batches that it has still to send, and how it fares."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, Text

from cloud.database import Identity, metadata

# handed over in the transaction that takes them out of the outbox; `waiting` is of how many boots
# the readings had no time when they were looked at. What is sent stays for a while: a server that
# is killed forgets what it took last
mirror_queue = Table(
    "mirror_queue",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("gateway_id", String(64), nullable=False),
    Column("batch_id", LargeBinary(16), nullable=False),
    Column("waiting", Integer, nullable=False, server_default="0"),
    Column("sent_us", BigInteger),
    sqlite_autoincrement=True,
)

# one row, of id 1
mirror_state = Table(
    "mirror_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("batches", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("sent_us", BigInteger),
    Column("failures", BigInteger, nullable=False),
    Column("failed_us", BigInteger),
    Column("reason", Text, nullable=False),
)
