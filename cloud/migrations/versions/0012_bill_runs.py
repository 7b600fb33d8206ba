"""Bills of accounts with numbers, revisions and credit notes; sharded runs."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from cloud.migrations.frozen import freeze, unfreeze

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

POSTED = ("bills", "line_items", "credit_notes")
Rows = list[dict[str, Any]]


def upgrade() -> None:
    unfreeze("line_items")
    unfreeze("bills")
    held = {name: _taken(name) for name in ("line_items", "bills", "bill_exceptions", "bill_runs")}
    _create_rebuilt()
    op.create_table(
        "credit_notes",
        sa.Column("bill_id", sa.String(length=100), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("posted_by", sa.String(length=64), nullable=False),
        sa.Column("posted_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bill_id"], ["bills.id"], name=op.f("fk_credit_notes_bill_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_credit_notes_project_id")
        ),
        sa.PrimaryKeyConstraint("bill_id", name=op.f("pk_credit_notes")),
        sa.UniqueConstraint("project_id", "number", name=op.f("uq_credit_notes_project_id_number")),
    )
    op.create_table(
        "run_shards",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("accounts", sa.Text(), nullable=False),
        sa.Column("done", sa.String(length=16), nullable=False),
        sa.Column("first_bill", sa.BigInteger(), nullable=False),
        sa.Column("first_credit", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "period", "number"],
            ["bill_runs.project_id", "bill_runs.period", "bill_runs.number"],
            name=op.f("fk_run_shards_project_id"),
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "period", "number", "shard", name=op.f("pk_run_shards")
        ),
    )
    op.create_table(
        "bill_drafts",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "period", "number"],
            ["bill_runs.project_id", "bill_runs.period", "bill_runs.number"],
            name=op.f("fk_bill_drafts_project_id"),
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "period", "number", "shard", "position", name=op.f("pk_bill_drafts")
        ),
    )
    op.create_table(
        "draft_uses",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("meter_point_id", sa.String(length=64), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_draft_uses_meter_point_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "period", "number"],
            ["bill_runs.project_id", "bill_runs.period", "bill_runs.number"],
            name=op.f("fk_draft_uses_project_id"),
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "period", "number", "meter_point_id", name=op.f("pk_draft_uses")
        ),
    )
    _put("bill_runs", [_new_run(row) for row in held["bill_runs"]])
    projects = _column("meter_points", "project_id")
    _put("bill_exceptions", [_new_exception(row, projects) for row in held["bill_exceptions"]])
    _renew_bills(held["bills"], held["line_items"])
    for table in POSTED:
        freeze(table)


def downgrade() -> None:
    for table in POSTED:
        unfreeze(table)
    for name in ("draft_uses", "bill_drafts", "run_shards", "credit_notes"):
        op.drop_table(name)
    held = {name: _taken(name) for name in ("line_items", "bills", "bill_exceptions", "bill_runs")}
    _create_former()
    first = [row for row in held["bill_runs"] if row["number"] == 1 and row["finished_us"]]
    _put("bill_runs", _only(first, "project_id", "period", "finished_us", "bills", "held"))
    metered = [row for row in held["bill_exceptions"] if row["meter_point_id"]]
    _put("bill_exceptions", _only(metered, "meter_point_id", "period", "reason"))
    # what the former schema has no place for is left behind: parts of a period's bills
    whole = [row for row in held["bills"] if not row["part"]]
    kept = {row["id"]: json.loads(row["inputs"]) for row in whole}
    new = ("number", "account_id", "part", "from_on", "to_on", "carried", "inputs")
    _put("bills", [{key: row[key] for key in row if key not in new} for row in whole])
    items = [row for row in held["line_items"] if row["bill_id"] in kept]
    _put("line_items", [_former_item(row, kept[row["bill_id"]]) for row in items])
    for table in ("bills", "line_items"):
        freeze(table)


def _new_run(row: Mapping[str, Any]) -> dict[str, Any]:
    done = {"number": 1, "first": row["period"], "phase": "finished", "allow_unverified": False}
    done |= {"started_by": "bill run", "reason": "", "credits": 0, "total_fen": 0}
    return {**row, **done, "started_us": row["finished_us"], "posted_us": row["finished_us"]}


def _new_exception(row: Mapping[str, Any], projects: Mapping[str, str]) -> dict[str, Any]:
    point = row["meter_point_id"]
    return {**row, "project_id": projects[point], "subject": point, "account_id": None}


def _renew_bills(bills: Rows, items: Rows) -> None:
    # a premise's only account was that of its own name; evidence stood at each item
    evidence: dict[str, list[Any]] = {}
    for item in sorted(items, key=lambda row: (row["bill_id"], row["position"])):
        evidence.setdefault(item["bill_id"], []).append(json.loads(item.pop("evidence")))
        is_shared = item["code"].startswith("shared.")
        item["segment"] = item["position"] if is_shared else 0
    last: dict[str, int] = {}
    for bill in sorted(bills, key=lambda row: (row["posted_us"], row["id"])):
        number = last[bill["project_id"]] = last.get(bill["project_id"], 0) + 1
        from_on = date.fromisoformat(f"{bill['period']}-01")
        to_on = (from_on + timedelta(days=32)).replace(day=1)
        found = evidence.get(bill["id"], [])
        days = {"from_on": from_on.isoformat(), "to_on": to_on.isoformat()}
        metered = {"tariff_hash": bill["tariff_hash"], "quantity": bill["quantity"], **days}
        inputs = found if bill["service"] == "shared" else [{**metered, "parts": found[:1]}]
        if bill["service"] != "shared" and found:
            inputs[0]["parts"] = found[0]
        bill |= {"number": f"B{number:08d}", "account_id": bill["premise_id"], "part": ""}
        bill |= {"from_on": from_on, "to_on": to_on, "carried": "0"}
        bill["inputs"] = json.dumps(inputs, ensure_ascii=False, sort_keys=True)
    _put("bills", bills)
    _put("line_items", items)
    numbers = [
        {"project_id": project, "kind": "bill", "last": number} for project, number in last.items()
    ]
    _put("document_numbers", numbers)


def _former_item(row: dict[str, Any], inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    segment = inputs[row.pop("segment")]
    return {**row, "evidence": json.dumps(segment if "pool" in segment else segment["parts"])}


def _only(rows: Rows, *names: str) -> Rows:
    return [{name: row[name] for name in names} for row in rows]


def _taken(name: str) -> Rows:
    # the rows of a table that is made anew
    bind = op.get_bind()
    table = sa.Table(name, sa.MetaData(), autoload_with=bind)
    rows = [dict(row) for row in bind.execute(sa.select(table)).mappings()]
    op.drop_table(name)
    return rows


def _put(name: str, rows: Rows) -> None:
    if rows:
        bind = op.get_bind()
        bind.execute(sa.Table(name, sa.MetaData(), autoload_with=bind).insert(), rows)


def _column(name: str, column: str) -> dict[str, str]:
    bind = op.get_bind()
    table = sa.Table(name, sa.MetaData(), autoload_with=bind)
    return {row.id: row[1] for row in bind.execute(sa.select(table.c.id, table.c[column]))}


def _create_rebuilt() -> None:
    op.create_table(
        "bill_runs",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.String(length=7), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("allow_unverified", sa.Boolean(), nullable=False),
        sa.Column("started_by", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("posted_us", sa.BigInteger(), nullable=True),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.Column("bills", sa.Integer(), nullable=False),
        sa.Column("credits", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_bill_runs_project_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "period", "number", name=op.f("pk_bill_runs")),
    )
    op.create_table(
        "bill_exceptions",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("meter_point_id", sa.String(length=64), nullable=True),
        sa.Column("account_id", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_bill_exceptions_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["meter_point_id"], ["meter_points.id"], name=op.f("fk_bill_exceptions_meter_point_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_bill_exceptions_project_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "period", "subject", name=op.f("pk_bill_exceptions")),
    )
    op.create_table(
        "bills",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("premise_id", sa.String(length=64), nullable=False),
        sa.Column("service", sa.String(length=40), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("part", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("to_on", sa.Date(), nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=False),
        sa.Column("tariff_id", sa.String(length=64), nullable=True),
        sa.Column("tariff_hash", sa.String(length=64), nullable=True),
        sa.Column("quantity", sa.String(length=32), nullable=True),
        sa.Column("carried", sa.String(length=32), nullable=False),
        sa.Column("estimated", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("posted_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_bills_account_id")),
        sa.ForeignKeyConstraint(["premise_id"], ["premises.id"], name=op.f("fk_bills_premise_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_bills_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bills")),
        sa.UniqueConstraint(
            "account_id",
            "service",
            "period",
            "part",
            "revision",
            name=op.f("uq_bills_account_id_service_period_part_revision"),
        ),
        sa.UniqueConstraint("project_id", "number", name=op.f("uq_bills_project_id_number")),
    )
    op.create_table(
        "line_items",
        sa.Column("bill_id", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("description_en", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.String(length=32), nullable=False),
        sa.Column("uom", sa.String(length=16), nullable=False),
        sa.Column("unit_price", sa.String(length=32), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("formula", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["bill_id"], ["bills.id"], name=op.f("fk_line_items_bill_id")),
        sa.PrimaryKeyConstraint("bill_id", "position", name=op.f("pk_line_items")),
    )


def _create_former() -> None:
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
