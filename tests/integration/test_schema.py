"""The schema: up, down and up again on both databases, equal to the tables, posted is posted."""

from datetime import date
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, Table, inspect
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

import cloud.database
from cloud.billing import bill_tables
from cloud.billing import tables as billing
from cloud.cli import app
from cloud.database import migrate
from cloud.errors import CloudError
from cloud.ledger.tables import accounts
from cloud.sites.tables import buildings, premises
from cloud.tables import metadata
from tests.fixtures.delivery import add_site


def downgrade(engine: Engine) -> None:
    config = Config()
    folder = Path(cloud.database.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        connection.commit()


def test_migrations_go_up_down_and_up_again(empty_engine: Engine) -> None:
    migrate(empty_engine)
    assert set(inspect(empty_engine).get_table_names()) == {*metadata.tables, "alembic_version"}
    downgrade(empty_engine)
    assert inspect(empty_engine).get_table_names() == ["alembic_version"]
    migrate(empty_engine)
    migrate(empty_engine)
    assert set(inspect(empty_engine).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_the_command_goes_both_ways(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    monkeypatch.setenv("HUTONG_DATABASE_URL", url)
    runner = CliRunner()
    told = {to: runner.invoke(app, ["migrate", "--to", to]).stdout for to in ("0015", "0016")}
    assert told == {to: f"the schema is an older one: {to}\n" for to in told}
    assert "up to date" in runner.invoke(app, ["migrate"]).stdout
    refused = runner.invoke(app, ["migrate", "--to", "9999"]).exception
    assert isinstance(refused, CloudError)
    assert "allowed are 0001 to" in str(refused)


def test_the_migrated_schema_is_that_of_the_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": False}
        )
        assert compare_metadata(context, metadata) == []


@pytest.fixture
def posted(engine: Engine) -> Engine:
    """Give a database with one row in each posted table."""
    add_site(engine, "gw-1")
    with engine.begin() as connection:
        connection.execute(
            buildings.insert().values(id="b", project_id="p-1", name="1", name_en="1", position=1)
        )
        row = {"id": "h", "project_id": "p-1", "building_id": "b", "name": "101", "kind": "flat"}
        row |= {"area_m2": "90", "holder": "x", "phone": ""}
        connection.execute(premises.insert().values(**row, people=3, households=1))
        row = {"id": "m", "project_id": "p-1", "building_id": "b", "name": "m", "service": "water"}
        row |= {"uom": "m3", "role": "master", "supply": "public"}
        connection.execute(metadata.tables["meter_points"].insert().values(**row))
        row = {"id": "pool", "project_id": "p-1", "building_id": "b", "name": "p", "name_en": "p"}
        row |= {"kind": "x", "master_id": "m", "weight": "area"}
        connection.execute(billing.pools.insert().values(**row, resolution_on=date(2026, 1, 1)))
        row = {"id": "h", "project_id": "p-1", "premise_id": "h", "holder": "x"}
        connection.execute(accounts.insert().values(**row, opened_on=date(2026, 1, 1)))
        for name in bill_tables.POSTED:
            table = metadata.tables[name]
            connection.execute(table.insert().values(_any_values(table)))
    return engine


@pytest.mark.parametrize("name", bill_tables.POSTED)
@pytest.mark.parametrize("change", ["update", "delete"])
def test_what_is_posted_never_changes(posted: Engine, name: str, change: str) -> None:
    table = metadata.tables[name]
    column = next(c for c in table.c if c.name in ("total_fen", "amount_fen"))
    with posted.begin() as connection:
        before = connection.execute(table.select()).all()
    assert len(before) == 1
    statement = table.update().values({column: 2}) if change == "update" else table.delete()
    with pytest.raises(DBAPIError, match="posted is posted"), posted.begin() as connection:
        connection.execute(statement)
    with posted.begin() as connection:
        assert connection.execute(table.select()).all() == before


def _any_values(table: Table) -> dict[str, object]:
    keys = {"bill_id": "bill", "pool_id": "pool", "premise_id": "h", "account_id": "h"}
    keys |= {"project_id": "p-1", "period": "2026-07"} | ({"id": "bill"} if "id" in table.c else {})
    any_of = {int: 1, str: "x", date: date(2026, 7, 1)}
    return {
        column.name: keys.get(column.name, any_of[column.type.python_type]) for column in table.c
    }
