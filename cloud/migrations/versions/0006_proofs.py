"""Gateways' keys, their signatures, and batches whose Merkle root was checked."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gateway_keys",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("valid_from_us", sa.BigInteger(), nullable=False),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["gateways.id"], name=op.f("fk_gateway_keys_gateway_id")
        ),
        sa.PrimaryKeyConstraint("gateway_id", "key", name=op.f("pk_gateway_keys")),
    )
    op.create_table(
        "signatures",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.LargeBinary(length=8), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=True),
        sa.Column("verified", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint(
            "gateway_id", "lane", "epoch", "seq", "signature", name=op.f("pk_signatures")
        ),
    )
    op.create_index(
        "ix_signatures_waiting",
        "signatures",
        ["gateway_id"],
        unique=False,
        sqlite_where=sa.text("verified IS NULL"),
        postgresql_where=sa.text("verified IS NULL"),
    )
    op.create_table(
        "checked_batches",
        sa.Column("batch_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("checked_us", sa.BigInteger(), nullable=False),
        sa.Column("good", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_checked_batches")),
    )


def downgrade() -> None:
    op.drop_table("checked_batches")
    op.drop_index(
        "ix_signatures_waiting",
        table_name="signatures",
        sqlite_where=sa.text("verified IS NULL"),
        postgresql_where=sa.text("verified IS NULL"),
    )
    op.drop_table("signatures")
    op.drop_table("gateway_keys")
