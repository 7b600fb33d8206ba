"""What is known of gateways' clocks, and what was decided of things in quarantine."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
    op.create_table(
        "undated_batches",
        sa.Column("batch_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("boot_id", sa.LargeBinary(length=12), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_undated_batches")),
    )
    op.create_index("ix_undated_batches_boot_id", "undated_batches", ["boot_id"], unique=False)
    op.create_table(
        "quarantine_decisions",
        sa.Column("quarantine_id", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("decided_by", sa.String(length=100), nullable=False),
        sa.Column("decided_us", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["quarantine_id"],
            ["quarantine.id"],
            name=op.f("fk_quarantine_decisions_quarantine_id"),
        ),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("pk_quarantine_decisions")),
    )


def downgrade() -> None:
    op.drop_table("quarantine_decisions")
    op.drop_index("ix_undated_batches_boot_id", table_name="undated_batches")
    op.drop_table("undated_batches")
    op.drop_table("clock_fixes")
