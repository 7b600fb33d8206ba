"""Commands with their trail, what cutting off is judged by, and the nonce of the last HELLO."""

import sqlalchemy as sa
from alembic import op

from cloud.migrations.frozen import freeze, unfreeze

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_RECORDED = ("command_steps", "cut_off_terms", "cut_off_notices")


def upgrade() -> None:
    op.add_column("gateways", sa.Column("hello_nonce", sa.String(length=64)))
    op.add_column("gateways", sa.Column("hello_us", sa.BigInteger()))
    op.create_table(
        "commands",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("pulse_ms", sa.Integer(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_by", sa.String(length=64)),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("counter", sa.BigInteger()),
        sa.Column("nonce", sa.String(length=64)),
        sa.Column("expires_us", sa.BigInteger()),
        sa.Column("said", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        *_references("commands", project_id="projects", gateway_id="gateways"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commands")),
    )
    op.create_index("ix_commands_project_id_asked_us", "commands", ["project_id", "asked_us"])
    op.create_index("ix_commands_gateway_id_counter", "commands", ["gateway_id", "counter"])
    op.create_index("ix_commands_state", "commands", ["state"])
    op.create_table(
        "command_steps",
        _identity(),
        sa.Column("command_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        *_references("command_steps", command_id="commands"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command_steps")),
    )
    op.create_index(op.f("ix_command_steps_command_id"), "command_steps", ["command_id"])
    op.create_table(
        "cut_off_terms",
        _identity(),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("service", sa.String(length=20), nullable=False),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("licensed_by", sa.String(length=20), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("grace_fen", sa.BigInteger(), nullable=False),
        sa.Column("notice_days", sa.Integer(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("until_minute", sa.Integer(), nullable=False),
        sa.Column("holidays", sa.Text(), nullable=False),
        sa.Column("set_by", sa.String(length=64), nullable=False),
        sa.Column("set_us", sa.BigInteger(), nullable=False),
        *_references("cut_off_terms", project_id="projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cut_off_terms")),
    )
    op.create_index(op.f("ix_cut_off_terms_project_id"), "cut_off_terms", ["project_id"])
    op.create_table(
        "cut_off_notices",
        _identity(),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("service", sa.String(length=20), nullable=False),
        sa.Column("noticed_on", sa.Date(), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("noticed_by", sa.String(length=64), nullable=False),
        sa.Column("noticed_us", sa.BigInteger(), nullable=False),
        *_references("cut_off_notices", project_id="projects", account_id="accounts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cut_off_notices")),
    )
    op.create_index(op.f("ix_cut_off_notices_account_id"), "cut_off_notices", ["account_id"])
    op.create_table(
        "prepaid_services",
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("service", sa.String(length=20), nullable=False),
        sa.Column("agreed_on", sa.Date(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("set_by", sa.String(length=64), nullable=False),
        sa.Column("set_us", sa.BigInteger(), nullable=False),
        *_references("prepaid_services", account_id="accounts"),
        sa.PrimaryKeyConstraint("account_id", "service", name=op.f("pk_prepaid_services")),
    )
    for table in _RECORDED:
        freeze(table)


def downgrade() -> None:
    for table in _RECORDED:
        unfreeze(table)
    op.drop_table("prepaid_services")
    op.drop_index(op.f("ix_cut_off_notices_account_id"), table_name="cut_off_notices")
    op.drop_table("cut_off_notices")
    op.drop_index(op.f("ix_cut_off_terms_project_id"), table_name="cut_off_terms")
    op.drop_table("cut_off_terms")
    op.drop_index(op.f("ix_command_steps_command_id"), table_name="command_steps")
    op.drop_table("command_steps")
    for index in ("state", "gateway_id_counter", "project_id_asked_us"):
        op.drop_index(f"ix_commands_{index}", table_name="commands")
    op.drop_table("commands")
    op.drop_column("gateways", "hello_us")
    op.drop_column("gateways", "hello_nonce")


def _identity() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
    return sa.Column("id", kind, autoincrement=True, nullable=False)


def _references(table: str, **columns: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint([column], [f"{of}.id"], name=op.f(f"fk_{table}_{column}"))
        for column, of in columns.items()
    ]
