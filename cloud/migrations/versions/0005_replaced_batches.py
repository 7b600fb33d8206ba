"""Batches that were replaced by what a full gateway could keep of them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "replaced_batches",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("replaced_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("batch_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("stored", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "replaced_id", name=op.f("pk_replaced_batches")),
    )
    op.create_index(
        op.f("ix_replaced_batches_batch_id"), "replaced_batches", ["batch_id"], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_replaced_batches_batch_id"), table_name="replaced_batches")
    op.drop_table("replaced_batches")
