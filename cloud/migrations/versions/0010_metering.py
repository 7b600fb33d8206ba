"""Events of meter points, verdicts on reads and their edits, reads by people, closings."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

RECORDED = ("meter_events", "closings", "read_edits")


def upgrade() -> None:
    with op.batch_alter_table("installs") as installs:
        # a meter without a gateway is read by people
        installs.alter_column("device_id", existing_type=sa.String(length=64), nullable=True)
        installs.alter_column("point", existing_type=sa.String(length=64), nullable=True)
        installs.add_column(
            sa.Column("end_rolls_over", sa.Integer(), server_default="0", nullable=False)
        )
        installs.add_column(sa.Column("idle_from_us", sa.BigInteger(), nullable=True))
    op.create_table(
        "read_imports",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("imported_by", sa.String(length=100), nullable=False),
        sa.Column("imported_us", sa.BigInteger(), nullable=False),
        sa.Column("undone_by", sa.String(length=100), nullable=True),
        sa.Column("undone_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_read_imports_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_read_imports")),
    )
    op.create_index(
        op.f("ix_read_imports_project_id"), "read_imports", ["project_id"], unique=False
    )
    op.create_table(
        "read_rounds",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("read_on", sa.Date(), nullable=False),
        sa.Column("opened_by", sa.String(length=100), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("closed_by", sa.String(length=100), nullable=True),
        sa.Column("closed_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_read_rounds_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_read_rounds")),
    )
    op.create_index(op.f("ix_read_rounds_project_id"), "read_rounds", ["project_id"], unique=False)
    op.create_table(
        "account_meters",
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("from_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("to_us", sa.BigInteger(), nullable=True),
        sa.Column("weight", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_account_meters_meter_point_id")
        ),
        sa.PrimaryKeyConstraint(
            "account_id", "meter_point_id", "from_us", name=op.f("pk_account_meters")
        ),
    )
    op.create_table(
        "closings",
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("end_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.String(length=32), nullable=False),
        sa.Column("is_open", sa.Integer(), nullable=False),
        sa.Column("rules", sa.String(length=200), nullable=False),
        sa.Column("closed_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_closings_meter_point_id")
        ),
        sa.PrimaryKeyConstraint("meter_point_id", "end_us", "revision", name=op.f("pk_closings")),
    )
    op.create_table(
        "manual_reads",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("read_at_us", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(length=20), nullable=False),
        sa.Column("taken_by", sa.String(length=100), nullable=False),
        sa.Column("photo", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("answer", sa.String(length=200), nullable=False),
        sa.Column("import_id", sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"), nullable=True),
        sa.Column("round_id", sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"), nullable=True),
        sa.Column("entered_us", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_by", sa.String(length=100), nullable=True),
        sa.Column("withdrawn_us", sa.BigInteger(), nullable=True),
        sa.Column("withdrawn_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["import_id"], ["read_imports.id"], name=op.f("fk_manual_reads_import_id")
        ),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_manual_reads_meter_point_id")
        ),
        sa.ForeignKeyConstraint(
            ["round_id"], ["read_rounds.id"], name=op.f("fk_manual_reads_round_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manual_reads")),
    )
    op.create_index(op.f("ix_manual_reads_import_id"), "manual_reads", ["import_id"], unique=False)
    op.create_index(
        "ix_manual_reads_meter_point_id_read_at_us",
        "manual_reads",
        ["meter_point_id", "read_at_us"],
        unique=False,
    )
    op.create_index(op.f("ix_manual_reads_round_id"), "manual_reads", ["round_id"], unique=False)
    op.create_table(
        "meter_events",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=True),
        sa.Column("before_count", sa.BigInteger(), nullable=True),
        sa.Column("after_count", sa.BigInteger(), nullable=True),
        sa.Column("meter_id", sa.String(length=64), nullable=True),
        sa.Column("exponent", sa.Integer(), nullable=True),
        sa.Column("multiplier", sa.String(length=20), nullable=True),
        sa.Column("capacity", sa.BigInteger(), nullable=True),
        sa.Column("max_per_hour", sa.BigInteger(), nullable=True),
        sa.Column("device_id", sa.String(length=64), nullable=True),
        sa.Column("point", sa.String(length=64), nullable=True),
        sa.Column("rule", sa.String(length=16), nullable=True),
        sa.Column("recorded_by", sa.String(length=100), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "supersedes", sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"), nullable=True
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_meter_events_device_id")
        ),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_meter_events_meter_point_id")
        ),
        sa.ForeignKeyConstraint(
            ["supersedes"], ["meter_events.id"], name=op.f("fk_meter_events_supersedes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_events")),
    )
    op.create_index(
        op.f("ix_meter_events_meter_point_id"), "meter_events", ["meter_point_id"], unique=False
    )
    op.create_table(
        "read_edits",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("read_at_us", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=True),
        sa.Column("edited_by", sa.String(length=100), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("edited_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_read_edits_meter_point_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_read_edits")),
        sa.UniqueConstraint(
            "meter_point_id",
            "read_at_us",
            "source",
            "version",
            name=op.f("uq_read_edits_meter_point_id_read_at_us_source_version"),
        ),
    )
    op.create_table(
        "read_verdicts",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("installed_at_us", sa.BigInteger(), nullable=False),
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=20), nullable=False),
        sa.Column("kept", sa.Integer(), nullable=False),
        sa.Column("read_at_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("reads", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("against_at_us", sa.BigInteger(), nullable=True),
        sa.Column("against_count", sa.BigInteger(), nullable=True),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("judged_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_read_verdicts_meter_point_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_read_verdicts")),
    )
    op.create_index(
        "ix_read_verdicts_meter_point_id_read_at_us",
        "read_verdicts",
        ["meter_point_id", "read_at_us"],
        unique=False,
    )
    op.create_table(
        "round_points",
        sa.Column("round_id", sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"), nullable=False),
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("route", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_round_points_meter_point_id")
        ),
        sa.ForeignKeyConstraint(
            ["round_id"], ["read_rounds.id"], name=op.f("fk_round_points_round_id")
        ),
        sa.PrimaryKeyConstraint("round_id", "meter_point_id", name=op.f("pk_round_points")),
    )
    op.create_table(
        "screenings",
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("installed_at_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("week", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_screenings_meter_point_id")
        ),
        sa.PrimaryKeyConstraint(
            "meter_point_id", "installed_at_us", "week", name=op.f("pk_screenings")
        ),
    )

    _events_of_installs()
    for table in RECORDED:
        _freeze(table)


def downgrade() -> None:
    for table in RECORDED:
        _unfreeze(table)
    op.drop_table("screenings")
    op.drop_table("round_points")
    op.drop_index("ix_read_verdicts_meter_point_id_read_at_us", table_name="read_verdicts")
    op.drop_table("read_verdicts")
    op.drop_table("read_edits")
    op.drop_index(op.f("ix_meter_events_meter_point_id"), table_name="meter_events")
    op.drop_table("meter_events")
    op.drop_index(op.f("ix_manual_reads_round_id"), table_name="manual_reads")
    op.drop_index("ix_manual_reads_meter_point_id_read_at_us", table_name="manual_reads")
    op.drop_index(op.f("ix_manual_reads_import_id"), table_name="manual_reads")
    op.drop_table("manual_reads")
    op.drop_table("closings")
    op.drop_table("account_meters")
    op.drop_index(op.f("ix_read_rounds_project_id"), table_name="read_rounds")
    op.drop_table("read_rounds")
    op.drop_index(op.f("ix_read_imports_project_id"), table_name="read_imports")
    op.drop_table("read_imports")
    # the version before knows only meters that a gateway reads
    op.execute("DELETE FROM installs WHERE device_id IS NULL")
    with op.batch_alter_table("installs") as installs:
        installs.drop_column("idle_from_us")
        installs.drop_column("end_rolls_over")
        installs.alter_column("point", existing_type=sa.String(length=64), nullable=False)
        installs.alter_column("device_id", existing_type=sa.String(length=64), nullable=False)


def _events_of_installs() -> None:
    """Put on record what the installs that are there already say."""
    op.execute(
        "INSERT INTO meter_events (meter_point_id, kind, at_us, after_count, meter_id, exponent,"
        " multiplier, capacity, max_per_hour, device_id, point, recorded_by, why, recorded_us)"
        " SELECT meter_point_id, 'install', installed_at_us, start_count, meter_id, exponent,"
        " multiplier, capacity, max_per_hour, device_id, point, 'import', 'was on file',"
        " installed_at_us FROM installs ORDER BY meter_point_id, installed_at_us"
    )
    op.execute(
        "INSERT INTO meter_events (meter_point_id, kind, at_us, before_count, recorded_by, why,"
        " recorded_us) SELECT meter_point_id, 'remove', removed_at_us, end_count, 'import',"
        " 'was on file', removed_at_us FROM installs"
        " WHERE removed_at_us IS NOT NULL AND end_count IS NOT NULL"
        " ORDER BY meter_point_id, installed_at_us"
    )


def _freeze(table: str) -> None:
    """Let the database itself refuse to change what is on record."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            """CREATE OR REPLACE FUNCTION refuse_correction() RETURNS trigger AS $$
            BEGIN RAISE EXCEPTION 'recorded is recorded: % never changes', TG_TABLE_NAME; END
            $$ LANGUAGE plpgsql"""
        )
        op.execute(
            f"CREATE TRIGGER {table}_recorded BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_correction()"
        )
        return
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_recorded_{action.lower()} BEFORE {action} ON {table} BEGIN"
            f" SELECT RAISE(ABORT, 'recorded is recorded: {table} never changes'); END"
        )


def _unfreeze(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP TRIGGER {table}_recorded ON {table}")
        return
    for action in ("update", "delete"):
        op.execute(f"DROP TRIGGER {table}_recorded_{action}")
