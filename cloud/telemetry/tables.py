"""Tables of readings: the latest of each channel, and history in hour chunks."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table

from cloud.database import metadata

latest = Table(
    "latest",
    metadata,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("read_at_us", BigInteger, nullable=False),
    Column("count", BigInteger),
    Column("quality", Integer, nullable=False),
)

# first .. total are counts of the good rows; data holds every row (see chunk.py)
chunks = Table(
    "chunks",
    metadata,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("rows", Integer, nullable=False),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("min", BigInteger),
    Column("max", BigInteger),
    Column("total", BigInteger),
    Column("data", LargeBinary, nullable=False),
)
