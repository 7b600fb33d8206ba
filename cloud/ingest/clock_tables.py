"""Tables of gateways' clocks: what is known of each boot's time, and what waits for it."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from cloud.database import metadata

# the true time of one instant of a boot's monotonic clock
clock_fixes = Table(
    "clock_fixes",
    metadata,
    Column("boot_id", LargeBinary(12), primary_key=True),
    Column("monotonic_us", BigInteger, primary_key=True),
    Column("gateway_id", String(64), nullable=False),
    Column("wall_us", BigInteger, nullable=False),
    Column("error_us", BigInteger, nullable=False),
    Column("source", String(16), nullable=False),
)

# stored batches with readings that have no believable time yet
undated_batches = Table(
    "undated_batches",
    metadata,
    Column("batch_id", LargeBinary(16), primary_key=True),
    Column("gateway_id", String(64), nullable=False),
    Column("boot_id", LargeBinary(12), nullable=False),
    Index("ix_undated_batches_boot_id", "boot_id"),
)
