"""Clocks by gateway and boot, held readings counted; what a worker tried before it died."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE clock_fixes_before AS SELECT * FROM clock_fixes")
    op.drop_table("clock_fixes")
    op.create_table(
        "clock_fixes",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("boot_id", sa.LargeBinary(length=12), nullable=False),
        sa.Column("monotonic_us", sa.BigInteger(), nullable=False),
        sa.Column("wall_us", sa.BigInteger(), nullable=False),
        sa.Column("error_us", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint(
            "gateway_id", "boot_id", "monotonic_us", name=op.f("pk_clock_fixes")
        ),
    )
    op.execute(
        "INSERT INTO clock_fixes (gateway_id, boot_id, monotonic_us, wall_us, error_us, source)"
        " SELECT gateway_id, boot_id, monotonic_us, wall_us, error_us, source"
        " FROM clock_fixes_before"
    )
    op.drop_table("clock_fixes_before")
    op.drop_index("ix_undated_batches_boot_id", table_name="undated_batches")
    op.execute("CREATE TABLE undated_batches_before AS SELECT * FROM undated_batches")
    op.drop_table("undated_batches")
    op.create_table(
        "undated_batches",
        sa.Column("batch_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("boot_id", sa.LargeBinary(length=12), nullable=False),
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "boot_id", name=op.f("pk_undated_batches")),
    )
    # a clock that is wrong is wrong for all of a batch, or nearly
    op.execute(
        "INSERT INTO undated_batches (batch_id, boot_id, gateway_id, readings)"
        " SELECT u.batch_id, u.boot_id, u.gateway_id, b.records"
        " FROM undated_batches_before u JOIN batches b ON b.batch_id = u.batch_id"
    )
    op.drop_table("undated_batches_before")
    op.create_index(
        "ix_undated_batches_gateway_id_boot_id", "undated_batches", ["gateway_id", "boot_id"]
    )
    op.create_table(
        "ingest_runs",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_runs")),
    )
    op.create_table(
        "ingest_attempts",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tried_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_ingest_attempts")),
    )


def downgrade() -> None:
    op.drop_table("ingest_attempts")
    op.drop_table("ingest_runs")
    op.drop_index("ix_undated_batches_gateway_id_boot_id", table_name="undated_batches")
    op.execute("CREATE TABLE undated_batches_after AS SELECT * FROM undated_batches")
    op.drop_table("undated_batches")
    op.create_table(
        "undated_batches",
        sa.Column("batch_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("boot_id", sa.LargeBinary(length=12), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_undated_batches")),
    )
    op.execute(
        "INSERT INTO undated_batches (batch_id, gateway_id, boot_id)"
        " SELECT batch_id, gateway_id, boot_id FROM undated_batches_after a WHERE NOT EXISTS"
        " (SELECT 1 FROM undated_batches_after b"
        " WHERE b.batch_id = a.batch_id AND b.boot_id < a.boot_id)"
    )
    op.drop_table("undated_batches_after")
    op.create_index("ix_undated_batches_boot_id", "undated_batches", ["boot_id"], unique=False)
    op.execute("CREATE TABLE clock_fixes_after AS SELECT * FROM clock_fixes")
    op.drop_table("clock_fixes")
    op.create_table(
        "clock_fixes",
        sa.Column("boot_id", sa.LargeBinary(length=12), nullable=False),
        sa.Column("monotonic_us", sa.BigInteger(), nullable=False),
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("wall_us", sa.BigInteger(), nullable=False),
        sa.Column("error_us", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("boot_id", "monotonic_us", name=op.f("pk_clock_fixes")),
    )
    op.execute(
        "INSERT INTO clock_fixes (boot_id, monotonic_us, gateway_id, wall_us, error_us, source)"
        " SELECT boot_id, monotonic_us, min(gateway_id), min(wall_us), min(error_us), min(source)"
        " FROM clock_fixes_after GROUP BY boot_id, monotonic_us"
    )
    op.drop_table("clock_fixes_after")
