"""Tables of gateways' clocks: what is known of each boot's time, and what waits for it."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from cloud.database import metadata

# the true time of one instant of a boot's monotonic clock, as the boot's own gateway tells it
clock_fixes = Table(
    "clock_fixes",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("boot_id", LargeBinary(12), primary_key=True),
    Column("monotonic_us", BigInteger, primary_key=True),
    Column("wall_us", BigInteger, nullable=False),
    Column("error_us", BigInteger, nullable=False),
    Column("source", String(16), nullable=False),
)

# readings of stored batches that have no believable time yet: a batch that replaces others holds
# those of several boots
undated_batches = Table(
    "undated_batches",
    metadata,
    Column("batch_id", LargeBinary(16), primary_key=True),
    Column("boot_id", LargeBinary(12), primary_key=True),
    Column("gateway_id", String(64), nullable=False),
    Column("readings", Integer, nullable=False),
    Index("ix_undated_batches_gateway_id_boot_id", "gateway_id", "boot_id"),
)
