"""Accounts, the books, approvals."""

import sqlalchemy as sa
from alembic import op

from cloud.migrations.frozen import freeze, unfreeze

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

FROZEN = ("ledger_entries", "ledger_lines", "approval_requests", "approval_decisions")
_ID = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("premise_id", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=False),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["premise_id"], ["premises.id"], name=op.f("fk_accounts_premise_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_accounts_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_index(op.f("ix_accounts_project_id"), "accounts", ["project_id"])
    op.create_index(op.f("ix_accounts_premise_id"), "accounts", ["premise_id"])
    op.create_table(
        "ledger_entries",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("counts_as", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=True),
        sa.Column("reverses", _ID, nullable=True),
        sa.Column("entered_on", sa.Date(), nullable=False),
        sa.Column("entered_us", sa.BigInteger(), nullable=False),
        sa.Column("entered_by", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_ledger_entries_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_ledger_entries_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["reverses"], ["ledger_entries.id"], name=op.f("fk_ledger_entries_reverses")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
        sa.UniqueConstraint("project_id", "key", name=op.f("uq_ledger_entries_project_id_key")),
        sa.UniqueConstraint(
            "project_id", "number", name=op.f("uq_ledger_entries_project_id_number")
        ),
        sa.UniqueConstraint("reverses", name=op.f("uq_ledger_entries_reverses")),
    )
    op.create_index(op.f("ix_ledger_entries_account_id"), "ledger_entries", ["account_id"])
    op.create_index(
        "ix_ledger_entries_project_id_entered_on", "ledger_entries", ["project_id", "entered_on"]
    )
    op.create_table(
        "ledger_lines",
        sa.Column("entry_id", _ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("book", sa.String(length=20), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=True),
        sa.Column("item", sa.String(length=40), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entries.id"], name=op.f("fk_ledger_lines_entry_id")
        ),
        sa.PrimaryKeyConstraint("entry_id", "position", name=op.f("pk_ledger_lines")),
    )
    op.create_table(
        "document_numbers",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_document_numbers_project_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "kind", name=op.f("pk_document_numbers")),
    )
    op.create_table(
        "approval_rules",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_approval_rules_project_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "kind", name=op.f("pk_approval_rules")),
    )
    _create_approvals()
    # what was billed before has its accounts and its entries too
    op.execute(
        "INSERT INTO accounts (id, project_id, premise_id, holder, opened_on)"
        " SELECT id, project_id, id, holder, '2000-01-01' FROM premises"
    )
    _enter_bills()
    for table in FROZEN:
        freeze(table)


def downgrade() -> None:
    for table in FROZEN:
        unfreeze(table)
    op.drop_table("approval_decisions")
    op.drop_index(op.f("ix_approval_requests_account_id"), table_name="approval_requests")
    op.drop_index(op.f("ix_approval_requests_project_id"), table_name="approval_requests")
    op.drop_table("approval_requests")
    op.drop_table("approval_rules")
    op.drop_table("document_numbers")
    op.drop_table("ledger_lines")
    op.drop_index("ix_ledger_entries_project_id_entered_on", table_name="ledger_entries")
    op.drop_index(op.f("ix_ledger_entries_account_id"), table_name="ledger_entries")
    op.drop_table("ledger_entries")
    op.drop_index(op.f("ix_accounts_premise_id"), table_name="accounts")
    op.drop_index(op.f("ix_accounts_project_id"), table_name="accounts")
    op.drop_table("accounts")


def _create_approvals() -> None:
    op.create_table(
        "approval_requests",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_approval_requests_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_approval_requests_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval_requests")),
    )
    op.create_index(op.f("ix_approval_requests_project_id"), "approval_requests", ["project_id"])
    op.create_index(op.f("ix_approval_requests_account_id"), "approval_requests", ["account_id"])
    op.create_table(
        "approval_decisions",
        sa.Column("request_id", _ID, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.Column("decided_us", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("entry_id", _ID, nullable=True),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entries.id"], name=op.f("fk_approval_decisions_entry_id")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["approval_requests.id"], name=op.f("fk_approval_decisions_request_id")
        ),
        sa.PrimaryKeyConstraint("request_id", "step", name=op.f("pk_approval_decisions")),
        sa.UniqueConstraint(
            "request_id", "decided_by", name=op.f("uq_approval_decisions_request_id_decided_by")
        ),
    )


def _enter_bills() -> None:
    op.execute(
        "INSERT INTO ledger_entries (project_id, account_id, kind, counts_as, key, request,"
        " entered_on, entered_us, entered_by, note)"
        " SELECT project_id, premise_id, 'bill', 'bill', 'bill:' || id, '', '2000-01-01',"
        " posted_us, 'migration', '' FROM bills WHERE total_fen <> 0 ORDER BY id"
    )
    for position, book, sign in ((0, "receivable", ""), (1, "revenue", "-")):
        op.execute(
            f"INSERT INTO ledger_lines (entry_id, position, book, amount_fen, period, item, late,"  # noqa: S608 - our own words
            f" channel) SELECT e.id, {position}, '{book}', {sign}b.total_fen, b.period, b.service,"
            " false, '' FROM ledger_entries e JOIN bills b ON e.key = 'bill:' || b.id"
        )
