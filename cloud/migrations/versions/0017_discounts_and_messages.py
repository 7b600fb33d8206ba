"""Discount plans that others approve, and reminders that are sent."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from cloud.migrations.frozen import freeze, unfreeze

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
DISCOUNTS = ("discount_plans", "discounts", "discount_ends")
KINDS = ("discount_plan", "discount", "discount_end")


def upgrade() -> None:
    _let_requests_lack_an_account(nullable=True)
    op.create_table(
        "discount_plans",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("request_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_discount_plans_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["approval_requests.id"], name=op.f("fk_discount_plans_request_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "code", name=op.f("pk_discount_plans")),
        sa.UniqueConstraint("request_id", name=op.f("uq_discount_plans_request_id")),
    )
    op.create_table(
        "discounts",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("to_on", sa.Date(), nullable=True),
        sa.Column("request_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_discounts_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_discounts_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["approval_requests.id"], name=op.f("fk_discounts_request_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discounts")),
        sa.UniqueConstraint("request_id", name=op.f("uq_discounts_request_id")),
    )
    op.create_index(op.f("ix_discounts_account_id"), "discounts", ["account_id"])
    op.create_table(
        "discount_ends",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("discount_id", _ID, nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("request_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["discount_id"], ["discounts.id"], name=op.f("fk_discount_ends_discount_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_discount_ends_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["approval_requests.id"], name=op.f("fk_discount_ends_request_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discount_ends")),
        sa.UniqueConstraint("request_id", name=op.f("uq_discount_ends_request_id")),
    )
    for table in DISCOUNTS:
        freeze(table)
    _create_messages()


def downgrade() -> None:
    op.drop_index("ix_messages_state_next_us", table_name="messages")
    op.drop_index(op.f("ix_messages_account_id"), table_name="messages")
    op.drop_table("messages")
    for table in reversed(DISCOUNTS):
        unfreeze(table)
        if table == "discounts":
            op.drop_index(op.f("ix_discounts_account_id"), table_name=table)
        op.drop_table(table)
    _let_requests_lack_an_account(nullable=False)


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("reminder_id", _ID, nullable=True),
        sa.Column("via", sa.String(length=20), nullable=False),
        sa.Column("recipient", sa.String(length=100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.Column("attempted_us", sa.BigInteger(), nullable=True),
        sa.Column("sent_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_messages_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_messages_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["reminder_id"], ["reminders.id"], name=op.f("fk_messages_reminder_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("reminder_id", name=op.f("uq_messages_reminder_id")),
    )
    op.create_index(op.f("ix_messages_account_id"), "messages", ["account_id"])
    op.create_index("ix_messages_state_next_us", "messages", ["state", "next_us"])


def _let_requests_lack_an_account(*, nullable: bool) -> None:
    # SQLite makes a table anew to change a column: nothing may refer to it meanwhile
    for table in ("approval_decisions", "approval_requests"):
        unfreeze(table)
    bind = op.get_bind()
    requests, decisions = _table("approval_requests"), _table("approval_decisions")
    said: list[Mapping[str, Any]] = [*bind.execute(sa.select(decisions)).mappings()]
    bind.execute(decisions.delete())
    if not nullable:
        gone = requests.c.kind.in_(KINDS)
        names = set(bind.scalars(sa.select(requests.c.id).where(gone)))
        bind.execute(requests.delete().where(gone))
        said = [row for row in said if row["request_id"] not in names]
    with op.batch_alter_table("approval_requests") as batch:
        batch.alter_column("account_id", existing_type=sa.String(length=64), nullable=nullable)
    if said:
        bind.execute(decisions.insert(), [dict(row) for row in said])
    for table in ("approval_requests", "approval_decisions"):
        freeze(table)


def _table(name: str) -> sa.Table:
    return sa.Table(name, sa.MetaData(), autoload_with=op.get_bind())
