"""Payment orders, what the channels said of them, and refunds."""

import sqlalchemy as sa
from alembic import op

from cloud.migrations.frozen import freeze, unfreeze

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "payment_orders",
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.String(length=127), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("opens", sa.Text(), nullable=True),
        sa.Column("transaction_id", sa.String(length=64), nullable=True),
        sa.Column("paid_us", sa.BigInteger(), nullable=True),
        sa.Column("is_late", sa.Boolean(), nullable=False),
        sa.Column("entry_id", _IDENTITY, nullable=True),
        sa.Column("ask_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_payment_orders_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entries.id"], name=op.f("fk_payment_orders_entry_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_payment_orders_project_id")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_payment_orders")),
        sa.UniqueConstraint(
            "channel", "transaction_id", name=op.f("uq_payment_orders_channel_transaction_id")
        ),
    )
    op.create_index(op.f("ix_payment_orders_account_id"), "payment_orders", ["account_id"])
    op.create_index(op.f("ix_payment_orders_ask_us"), "payment_orders", ["ask_us"])
    op.create_index("ix_payment_orders_channel_paid_us", "payment_orders", ["channel", "paid_us"])
    op.create_table(
        "payment_notices",
        sa.Column("id", _IDENTITY, autoincrement=True, nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=True),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("plain", sa.Text(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_notices")),
        sa.UniqueConstraint("channel", "digest", name=op.f("uq_payment_notices_channel_digest")),
    )
    freeze("payment_notices")
    op.create_table(
        "payment_refunds",
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("request_id", _IDENTITY, nullable=False),
        sa.Column("order_number", sa.String(length=32), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("refund_id", sa.String(length=64), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("ask_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_number"],
            ["payment_orders.number"],
            name=op.f("fk_payment_refunds_order_number"),
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["approval_requests.id"], name=op.f("fk_payment_refunds_request_id")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_payment_refunds")),
        sa.UniqueConstraint("request_id", name=op.f("uq_payment_refunds_request_id")),
    )
    op.create_index(op.f("ix_payment_refunds_ask_us"), "payment_refunds", ["ask_us"])
    op.create_index(op.f("ix_payment_refunds_order_number"), "payment_refunds", ["order_number"])


def downgrade() -> None:
    op.drop_table("payment_refunds")
    unfreeze("payment_notices")
    op.drop_table("payment_notices")
    op.drop_table("payment_orders")
