"""Tables of ingest runs that were not ended, and of messages that were tried after one."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table

from cloud.database import Identity, metadata

# a run that ends cleanly takes its row away: what is left ran, runs, or died
ingest_runs = Table(
    "ingest_runs",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("started_us", BigInteger, nullable=False),
)

# the SHA-256 of a topic and message that was begun and not yet finished, and how often
ingest_attempts = Table(
    "ingest_attempts",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("tried_us", BigInteger, nullable=False),
)
