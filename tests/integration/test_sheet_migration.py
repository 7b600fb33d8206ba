"""Public sheets that were posted, or drafted, before they kept what priced them."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, MetaData, Table, inspect, select
from sqlalchemy.exc import DBAPIError

import cloud.database
from cloud.billing.drafts import Sheet, unpack
from cloud.billing.tariff_book import built_in, tariff_text
from cloud.database import migrate
from tests.fixtures.delivery import add_site

SUPPLIER = "cn-supplier-invoice-electricity"
SHEET = dict.fromkeys(("master", "subs", "public", "loss", "charged", "unit_price"), "1")
PART = {"meter_point": "m", "quantity": "1.25", "true_up": "0.5"}
SHEET |= {"note": "", "evidence": json.dumps([PART]), "loss": "-2.5"}
NEW = ("kind", "cap_percent", "invoice", "tariff_hash")


def put(connection: Connection, of: str, /, **values: object) -> None:
    connection.execute(table(connection, of).insert().values(**values))


def table(connection: Connection, name: str) -> Table:
    """Return a table as it is at its revision."""
    return Table(name, MetaData(), autoload_with=connection)


def before(engine: Engine, *texts: tuple[str, str]) -> None:
    """Put two posted sheets on file and one that is drafted, at the revision before."""
    migrate(engine, "0012")
    add_site(engine, "gw-1")
    with engine.begin() as connection:
        building = {"id": "b", "project_id": "p-1", "name": "1", "name_en": "1", "position": 1}
        put(connection, "buildings", **building)
        point = {"id": "m", "project_id": "p-1", "building_id": "b", "name": "m"}
        point |= {"service": "electricity", "uom": "kWh", "role": "master", "supply": "public"}
        put(connection, "meter_points", **point)
        for name, kind, cap in (("light", "public", "10"), ("loss", "loss", None)):
            pool = {"id": name, "project_id": "p-1", "building_id": "b", "name": "p"}
            pool |= {"name_en": "p", "kind": kind, "master_id": "m", "weight": "area"}
            pool |= {"cap_percent": cap, "resolution_on": date(2026, 1, 1)}
            put(connection, "pools", **pool)
        for name, period in (("light", "2026-09"), ("loss", "2026-10")):
            put(
                connection,
                "pool_statements",
                pool_id=name,
                period=period,
                total_fen=1,
                **SHEET,
            )
        invoice = {"meter_point_id": "m", "period": "2026-09", "number": "1"}
        put(connection, "supplier_invoices", **invoice, quantity="1800.00", amount="900.00")
        for digest, text in texts:
            put(connection, "tariff_texts", hash=digest, tariff_id=SUPPLIER, text=text)
        run = {"project_id": "p-1", "period": "2026-10", "number": 1}
        more = {"first": "2026-10", "phase": "drafted", "allow_unverified": True, "reason": ""}
        more |= {"started_by": "li", "bills": 0, "credits": 0, "held": 0, "total_fen": 0}
        put(connection, "bill_runs", **run, **more, started_us=1)
        drafted = {"pool_id": "light", "period": "2026-09", "total_fen": 1, **SHEET}
        body = msgspec.msgpack.encode(drafted | {"shares": [], "closings": []})
        place = {"shard": 0, "position": 0, "kind": "sheet", "total_fen": 1}
        put(connection, "bill_drafts", **run, **place, body=body)


def supplier() -> tuple[str, str]:
    """Return the hash and the text of the tariff that prices by the supplier's invoice."""
    text, digest = tariff_text(next(each for each in built_in() if each.id == SUPPLIER))
    return digest, text


def test_sheets_are_filled_from_what_is_on_file(empty_engine: Engine) -> None:
    digest, text = supplier()
    before(empty_engine, (digest, text))
    migrate(empty_engine)
    invoice = {"amount": "900.00", "quantity": "1800.00"}
    with empty_engine.begin() as connection:
        sheets = table(connection, "pool_statements")
        columns = [sheets.c[name] for name in NEW]
        light, loss = connection.execute(select(*columns).order_by(sheets.c.pool_id)).all()
        assert (light.kind, light.cap_percent, light.tariff_hash) == ("public", "10", digest)
        assert json.loads(light.invoice) == invoice
        assert tuple(loss) == ("loss", None, None, digest)
        drafts = table(connection, "bill_drafts")
        sheet = unpack("sheet", connection.execute(select(drafts.c.body)).scalar_one())
    assert isinstance(sheet, Sheet)
    assert (sheet.kind, sheet.cap_percent, sheet.tariff_hash) == ("public", "10", digest)
    assert json.loads(sheet.invoice) == invoice
    with empty_engine.begin() as connection, pytest.raises(DBAPIError, match="posted is posted"):
        connection.execute(sheets.update().values(kind="x"))


def test_sheets_keep_what_they_counted_and_carry_what_was_below_zero(empty_engine: Engine) -> None:
    before(empty_engine, supplier())
    migrate(empty_engine)
    with empty_engine.begin() as connection:
        sheets = table(connection, "pool_statements")
        light, loss = connection.execute(select(sheets).order_by(sheets.c.pool_id)).all()
        drafts = table(connection, "bill_drafts")
        drafted = unpack("sheet", connection.execute(select(drafts.c.body)).scalar_one())
    counted = [{"meter_point_id": "m", "role": "master", "quantity": "1.75"}]
    assert json.loads(light.meters) == json.loads(loss.meters) == counted
    # a cap of 10 % of 1 leaves 0.9 of the public use to the company
    assert (light.carried_out, Decimal(light.above_cap)) == ("0", Decimal("0.9"))
    assert (loss.carried_out, loss.above_cap, loss.level, loss.by) == (
        *("-2.5", "0", "building", "area"),
    )
    assert isinstance(drafted, Sheet)
    assert json.loads(drafted.meters) == counted
    assert Decimal(drafted.above_cap) == Decimal("0.9")


def test_of_two_texts_in_force_none_is_taken(empty_engine: Engine) -> None:
    digest, text = supplier()
    before(empty_engine, (digest, text), ("0" * 64, text))
    migrate(empty_engine)
    with empty_engine.begin() as connection:
        sheets = table(connection, "pool_statements")
        assert set(connection.scalars(select(sheets.c.tariff_hash))) == {None}


def test_down_again_sheets_are_as_they_were(empty_engine: Engine) -> None:
    before(empty_engine, supplier())
    migrate(empty_engine)
    config = Config()
    folder = Path(cloud.database.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    with empty_engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0012")
        connection.commit()
    names = {column["name"] for column in inspect(empty_engine).get_columns("pool_statements")}
    assert names == {"pool_id", "period", "total_fen", *SHEET}
    with empty_engine.begin() as connection, pytest.raises(DBAPIError, match="posted is posted"):
        connection.execute(table(connection, "pool_statements").delete())
