"""Metering and billing."""

import sqlalchemy as sa
from alembic import op

from cloud.migrations.frozen import freeze, unfreeze

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

POSTED = ("bills", "line_items", "pool_statements", "pool_shares")


def upgrade() -> None:
    op.create_table(
        "tariff_texts",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("tariff_id", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_tariff_texts")),
    )
    op.create_table(
        "bill_runs",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("finished_us", sa.BigInteger(), nullable=False),
        sa.Column("bills", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_bill_runs_project_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "period", name=op.f("pk_bill_runs")),
    )
    op.create_table(
        "bills",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("premise_id", sa.String(length=64), nullable=False),
        sa.Column("service", sa.String(length=20), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=False),
        sa.Column("tariff_id", sa.String(length=64), nullable=True),
        sa.Column("tariff_hash", sa.String(length=64), nullable=True),
        sa.Column("quantity", sa.String(length=32), nullable=True),
        sa.Column("estimated", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("posted_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["premise_id"], ["premises.id"], name=op.f("fk_bills_premise_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_bills_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bills")),
        sa.UniqueConstraint(
            "premise_id",
            "service",
            "period",
            "revision",
            name=op.f("uq_bills_premise_id_service_period_revision"),
        ),
    )
    op.create_table(
        "meter_points",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("building_id", sa.String(length=64), nullable=False),
        sa.Column("premise_id", sa.String(length=64), nullable=True),
        sa.Column("parent_id", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("service", sa.String(length=20), nullable=False),
        sa.Column("uom", sa.String(length=16), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("supply", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["building_id"], ["buildings.id"], name=op.f("fk_meter_points_building_id")
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["meter_points.id"], name=op.f("fk_meter_points_parent_id")
        ),
        sa.ForeignKeyConstraint(
            ["premise_id"], ["premises.id"], name=op.f("fk_meter_points_premise_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_meter_points_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_points")),
    )
    op.create_index(
        op.f("ix_meter_points_project_id"), "meter_points", ["project_id"], unique=False
    )
    op.create_table(
        "bill_exceptions",
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_bill_exceptions_meter_point_id")
        ),
        sa.PrimaryKeyConstraint("meter_point_id", "period", name=op.f("pk_bill_exceptions")),
    )
    op.create_table(
        "installs",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.INTEGER(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("meter_id", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("point", sa.String(length=64), nullable=False),
        sa.Column("exponent", sa.Integer(), nullable=False),
        sa.Column("multiplier", sa.String(length=20), nullable=False),
        sa.Column("capacity", sa.BigInteger(), nullable=True),
        sa.Column("max_per_hour", sa.BigInteger(), nullable=True),
        sa.Column("installed_at_us", sa.BigInteger(), nullable=False),
        sa.Column("removed_at_us", sa.BigInteger(), nullable=True),
        sa.Column("start_count", sa.BigInteger(), nullable=False),
        sa.Column("end_count", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_installs_device_id")),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_installs_meter_point_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installs")),
    )
    op.create_index(
        op.f("ix_installs_meter_point_id"), "installs", ["meter_point_id"], unique=False
    )
    op.create_table(
        "line_items",
        sa.Column("bill_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("description_en", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.String(length=32), nullable=False),
        sa.Column("uom", sa.String(length=16), nullable=False),
        sa.Column("unit_price", sa.String(length=32), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("formula", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["bill_id"], ["bills.id"], name=op.f("fk_line_items_bill_id")),
        sa.PrimaryKeyConstraint("bill_id", "position", name=op.f("pk_line_items")),
    )
    op.create_table(
        "pools",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("building_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("master_id", sa.String(length=64), nullable=False),
        sa.Column("weight", sa.String(length=20), nullable=False),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("resolution_on", sa.Date(), nullable=True),
        sa.Column("cap_percent", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["building_id"], ["buildings.id"], name=op.f("fk_pools_building_id")
        ),
        sa.ForeignKeyConstraint(
            ["master_id"], ["meter_points.id"], name=op.f("fk_pools_master_id")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_pools_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pools")),
    )
    op.create_index(op.f("ix_pools_project_id"), "pools", ["project_id"], unique=False)
    op.create_table(
        "services",
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("tariff_id", sa.String(length=64), nullable=False),
        sa.Column("cutover_on", sa.Date(), nullable=False),
        sa.Column("used_before", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_services_meter_point_id")
        ),
        sa.PrimaryKeyConstraint("meter_point_id", name=op.f("pk_services")),
    )
    op.create_table(
        "supplier_invoices",
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.String(length=32), nullable=False),
        sa.Column("amount", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"],
            ["meter_points.id"],
            name=op.f("fk_supplier_invoices_meter_point_id"),
        ),
        sa.PrimaryKeyConstraint("meter_point_id", "period", name=op.f("pk_supplier_invoices")),
    )
    op.create_table(
        "pool_shares",
        sa.Column("pool_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("premise_id", sa.String(length=64), nullable=False),
        sa.Column("weight", sa.String(length=20), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["pools.id"], name=op.f("fk_pool_shares_pool_id")),
        sa.ForeignKeyConstraint(
            ["premise_id"], ["premises.id"], name=op.f("fk_pool_shares_premise_id")
        ),
        sa.PrimaryKeyConstraint("pool_id", "period", "premise_id", name=op.f("pk_pool_shares")),
    )
    op.create_table(
        "pool_statements",
        sa.Column("pool_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("master", sa.String(length=32), nullable=False),
        sa.Column("subs", sa.String(length=32), nullable=False),
        sa.Column("public", sa.String(length=32), nullable=False),
        sa.Column("loss", sa.String(length=32), nullable=False),
        sa.Column("charged", sa.String(length=32), nullable=False),
        sa.Column("unit_price", sa.String(length=32), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["pools.id"], name=op.f("fk_pool_statements_pool_id")),
        sa.PrimaryKeyConstraint("pool_id", "period", name=op.f("pk_pool_statements")),
    )
    for table in POSTED:
        freeze(table)


def downgrade() -> None:
    for table in POSTED:
        unfreeze(table)
    op.drop_table("pool_statements")
    op.drop_table("pool_shares")
    op.drop_table("supplier_invoices")
    op.drop_table("services")
    op.drop_index(op.f("ix_pools_project_id"), table_name="pools")
    op.drop_table("pools")
    op.drop_table("line_items")
    op.drop_index(op.f("ix_installs_meter_point_id"), table_name="installs")
    op.drop_table("installs")
    op.drop_table("bill_exceptions")
    op.drop_index(op.f("ix_meter_points_project_id"), table_name="meter_points")
    op.drop_table("meter_points")
    op.drop_table("bills")
    op.drop_table("bill_runs")
    op.drop_table("tariff_texts")
