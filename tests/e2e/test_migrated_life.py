"""Migrations both ways on a database full of life: what both schemas know comes back as it was."""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from seed_pages import seed
from sqlalchemy import Connection, Engine, MetaData, Table, select

from cloud.database import migrate, revisions
from cloud.tables import metadata

pytestmark = pytest.mark.slow

# the way down from there leaves numbers of bills behind that the way up would give again
OLDEST = "0012"
Rows = dict[str, list[Mapping[str, Any]]]
# an older schema has no account-less requests: what was asked about discounts goes with those
FORGOTTEN = {"discount_plan", "discount", "discount_end"}
# a value that a server's own default, or the program of then, would have put there
ANY = {int: 1, str: "x", date: date(2026, 7, 1), bytes: b"x", bool: False}


def test_all_rows_survive_the_way_down_and_up(engine: Engine) -> None:
    seed(engine, time.time_ns() // 1000)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            if connection.execute(select(table).limit(1)).first() is None:
                connection.execute(table.insert().values(_any_row(connection, table)))
    whole = _rows(engine)
    assert all(whole.values())
    steps = revisions()
    # each step by itself from the newest, then all the way down
    for lowest in steps[steps.index(OLDEST) : -1][::-1]:
        migrate(engine, lowest)
        there = _rows(engine)
        migrate(engine)
        back = _rows(engine)
        for name, known in there.items():
            columns = _columns(known) & _columns(whole[name])
            before = _kept(_remembered(whole, name), columns)
            assert _kept(_remembered(there, name), columns) == before, f"{name}: down to {lowest}"
            assert _kept(_remembered(back, name), columns) == before, f"{name}: up from {lowest}"


def _remembered(rows: Rows, name: str) -> list[Mapping[str, Any]]:
    gone = {row["id"] for row in rows.get("approval_requests", ()) if row["kind"] in FORGOTTEN}
    if name == "approval_requests":
        return [row for row in rows[name] if row["id"] not in gone]
    if name == "approval_decisions":
        return [row for row in rows[name] if row["request_id"] not in gone]
    return rows[name]


def _rows(engine: Engine) -> Rows:
    held = MetaData()
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        held.reflect(reader)
        return {
            name: [dict(row) for row in reader.execute(select(table)).mappings()]
            for name, table in held.tables.items()
            if name != "alembic_version"
        }


def _columns(rows: list[Mapping[str, Any]]) -> set[str]:
    return set(rows[0]) if rows else set()


def _kept(rows: list[Mapping[str, Any]], columns: set[str]) -> Counter[str]:
    return Counter(
        repr(sorted((key, value) for key, value in row.items() if key in columns)) for row in rows
    )


def _any_row(connection: Connection, table: Table) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in table.c:
        if column.autoincrement is True and column.primary_key:
            continue
        row[column.name] = ANY[column.type.python_type]
    for constraint in table.foreign_key_constraints:
        target = constraint.referred_table
        found = connection.execute(select(target).limit(1)).mappings().one()
        for column, element in zip(constraint.columns, constraint.elements, strict=True):
            row[column.name] = found[element.column.name]
    return row
