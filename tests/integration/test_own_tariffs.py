"""A folder of the company's own tariffs: seen by runs, the worker and commands, never unseen."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from typer.testing import CliRunner

from cloud.billing import runs
from cloud.billing.bill_tables import bills
from cloud.billing.bundle import bundle_of
from cloud.billing.tables import tariff_texts
from cloud.billing.tariff_book import built_in, tariffs_of
from cloud.billing.verify_bill import verify
from cloud.cli import app
from cloud.config import Settings
from cloud.documents import DocumentError
from cloud.errors import RefusedError
from cloud.metering import manual_reads
from cloud.metering.manual_repository import ManualRead
from cloud.tariffs.files import BUILT_IN, load_book, tariff_in_force
from cloud.work import Worker
from tests.fixtures.estate import at, meter, premise, put_on_file

FEE = """
id: courtyard-fee
version: "2026"
name: {zh: 院子物业费, en: Courtyard fee}
effective_from: 2026-01-01
time_zone: Asia/Shanghai
source: Contract 2026-17 of 3 January 2026, annex 2.
verified: true
service: property
uom: m2
supply_kinds: [collected]
rounding: line
fixed_charges:
  - {code: fee, name: {zh: 物业费, en: Fee}, per: month, by: area, price: "2.15"}
"""
WATER = (BUILT_IN / "cn-beijing-water.yaml").read_text("utf-8")


def newer_water(begins: str = "2026-10-16", until: str = "") -> str:
    """Return the built-in water tariff with another first day and version."""
    tariff = next(each for each in built_in() if each.id == "cn-beijing-water")
    assert tariff.effective_to is None
    text = WATER.replace(f"effective_from: {tariff.effective_from}", f"effective_from: {begins}")
    assert text != WATER
    end = f"\neffective_to: {until}" if until else ""
    return text.replace(f"effective_from: {begins}", f"effective_from: {begins}{end}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a fee of the company's own."""
    path = tmp_path / "tariffs"
    path.mkdir()
    (path / "fee.yaml").write_text(FEE, encoding="utf-8")
    return path


@pytest.fixture
def estate(engine: Engine) -> Engine:
    """Give a home with a water meter, and a fee by the company's own tariff."""
    hand = {"gateway": None, "device": None, "profile": None, "point": None}
    fee = {"premise": "1-101", "item": "fee", "tariff": "courtyard-fee", "from_on": "2026-10-01"}
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 10, 1),
            premises=[premise("1-101")],
            meters=[
                meter("w1", premise="1-101", service="water", exponent=-3, **hand)
                | {"tariff": "cn-beijing-water"}
            ],
            charges=[fee],
        )
        for day, count in (("10-01", 0), ("10-16", 15_000), ("11-01", 22_500)):
            when = at(f"2026-{day}T00:00:00")
            taken = ManualRead(meter_point_id="mp-w1", read_at_us=when, count=count, taken_by="li")
            manual_reads.store(connection, taken)
    return engine


def bundles(engine: Engine) -> dict[str, dict[str, Any]]:
    with engine.connect() as connection:
        found: dict[str, dict[str, Any]] = {}
        for row in connection.execute(select(bills)):
            raw = bundle_of(connection, row.id)
            assert verify(raw)
            found[row.service] = json.loads(raw)
    return found


def test_a_run_bills_by_it_and_its_text_stays_with_the_bill(estate: Engine, folder: Path) -> None:
    (folder / "water.yaml").write_text(newer_water(), encoding="utf-8")
    runs.run(estate, "p", "2026-10", allow_unverified=True, own_tariffs=folder)
    found = bundles(estate)
    assert found["fee"]["bill"]["total"] == "172.00"
    (segment,) = found["fee"]["segments"]
    assert json.loads(segment["tariff"]["text"])["source"].startswith("Contract 2026-17")
    # the built-in version has no end, and ends where the newer one begins
    first, second = found["water"]["segments"]
    assert (first["inputs"]["to_on"], second["inputs"]["from_on"]) == ("2026-10-16", "2026-10-16")
    assert first["tariff"]["sha256"] != second["tariff"]["sha256"]
    # whatever becomes of the file, the bill has what it was rated by
    (folder / "fee.yaml").write_text(FEE.replace("2.15", "9.99"), encoding="utf-8")
    assert bundles(estate) == found
    with estate.connect() as connection:
        assert len(connection.execute(select(tariff_texts)).all()) == 3


def test_without_the_folder_the_fee_is_held(estate: Engine) -> None:
    runs.run(estate, "p", "2026-10", allow_unverified=True)
    assert "fee" not in bundles(estate)


def test_the_worker_sees_it_and_waits_where_it_cannot_be_read(
    estate: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_us = at("2026-11-05T12:00:00")
    monkeypatch.setattr("cloud.work.time.time_ns", lambda: now_us * 1000)
    worker = Worker(estate, Settings(tariffs=folder, allow_unverified_tariffs=True))
    with estate.begin() as connection:
        runs.start(connection, "p", "2026-10", allow_unverified=True, by=runs.ENTERED_BY)
    (folder / "bad.yaml").write_text("id: x", encoding="utf-8")
    worker.step()
    assert bundles(estate) == {}
    (folder / "bad.yaml").unlink()
    worker.step()
    assert set(bundles(estate)) == {"fee", "water"}


def test_nothing_stands_in_for_a_built_in_version(folder: Path) -> None:
    mine = folder / "water.yaml"
    begins = next(each for each in built_in() if each.id == "cn-beijing-water").effective_from
    mine.write_text(WATER, encoding="utf-8")
    with pytest.raises(DocumentError, match="is in") as told:
        load_book(folder)
    assert str(mine) in str(told.value)
    assert str(BUILT_IN / "cn-beijing-water.yaml") in str(told.value)
    # an older version that has no end would be cut off by the built-in one
    mine.write_text(newer_water("2001-01-01"), encoding="utf-8")
    with pytest.raises(RefusedError, match=f"still in force on {begins}"):
        tariffs_of(folder)
    mine.write_text(newer_water("2001-01-01", until="2002-01-01"), encoding="utf-8")
    assert len(tariffs_of(folder)) == len(built_in()) + 2
    # two of one's own at once
    (folder / "again.yaml").write_text(FEE, encoding="utf-8")
    with pytest.raises(RefusedError, match=r"courtyard-fee: .* \(again.yaml, fee.yaml\)"):
        tariffs_of(folder)


def test_a_newer_version_that_ends_brings_no_old_price_back(folder: Path) -> None:
    mine = folder / "water.yaml"
    mine.write_text(newer_water("2026-10-16", until="2027-01-01"), encoding="utf-8")
    book = tariffs_of(folder)
    for day, begins in ((date(2026, 10, 15), None), (date(2026, 10, 16), date(2026, 10, 16))):
        found = tariff_in_force(book, "cn-beijing-water", on=day)
        assert begins is None or found.effective_from == begins
    with pytest.raises(ValueError, match="not in force on 2027-01-01"):
        tariff_in_force(book, "cn-beijing-water", on=date(2027, 1, 1))


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"HUTONG_TARIFFS: .*: allowed is a folder"):
        tariffs_of(tmp_path / "nothing")


def test_commands_see_it(folder: Path, tmp_path: Path) -> None:
    def told(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["tariff", *arguments], env={"HUTONG_TARIFFS": str(folder)})
        assert done.exit_code == code, done.output
        return done.output

    assert "courtyard-fee  2026  2026-01-01.." in told("list", "--service", "property")
    assert "courtyard-fee version 2026 is well-formed" in told("check")
    usage = tmp_path / "usage.json"
    usage.write_text('{"from": "2026-10-01", "to": "2026-11-01", "premise": {"area_m2": "80"}}')
    assert "172.00" in told("try", "courtyard-fee", "--usage", str(usage))
    (folder / "water.yaml").write_text(WATER, encoding="utf-8")
    for command in (["check"], ["list"]):
        assert "cn-beijing-water.yaml" in told(*command, code=2)
    assert CliRunner().invoke(app, ["tariff", "check"]).exit_code == 2
