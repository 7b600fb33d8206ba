"""Accounts that are moved into, what they used before we billed them, and charges that recur."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("held_from", sa.Date(), nullable=True))
    op.add_column("accounts", sa.Column("continues", sa.String(length=64), nullable=True))
    op.create_table(
        "charge_terms",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("item", sa.String(length=40), nullable=False),
        sa.Column("tariff_id", sa.String(length=64), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("to_on", sa.Date(), nullable=True),
        sa.Column("cycle_months", sa.Integer(), nullable=False),
        sa.Column("in_advance", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_charge_terms_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_charge_terms_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_terms")),
        sa.UniqueConstraint(
            "account_id", "item", "from_on", name=op.f("uq_charge_terms_account_id_item_from_on")
        ),
    )
    op.create_index(op.f("ix_charge_terms_project_id"), "charge_terms", ["project_id"])
    op.create_table(
        "opening_uses",
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("service", sa.String(length=20), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("quantity", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_opening_uses_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "service", name=op.f("pk_opening_uses")),
    )
    _used_by_accounts()
    op.drop_column("services", "used_before")


def downgrade() -> None:
    op.add_column(
        "services",
        sa.Column("used_before", sa.String(length=32), nullable=False, server_default="0"),
    )
    op.drop_table("opening_uses")
    op.drop_index(op.f("ix_charge_terms_project_id"), table_name="charge_terms")
    op.drop_table("charge_terms")
    op.drop_column("accounts", "continues")
    op.drop_column("accounts", "held_from")


def _used_by_accounts() -> None:
    # a premise had one meter of a service, and one account of its own name
    op.execute(
        "INSERT INTO opening_uses (account_id, service, as_of, quantity)"
        " SELECT p.premise_id, p.service, s.cutover_on, s.used_before FROM services s"
        " JOIN meter_points p ON p.id = s.meter_point_id"
        " WHERE p.premise_id IS NOT NULL AND s.used_before <> '0'"
    )
