"""Cutover from an old system: balances stand in the books, tiers go on, nothing twice."""

import json
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from cloud.billing import bill_repository, runs
from cloud.cli import app
from cloud.errors import NotFoundError
from cloud.ledger import reports, service
from cloud.ledger import repository as ledger
from cloud.ledger.cutover import take_over
from cloud.ledger.openings import COLUMNS, Openings, parse_openings
from cloud.ledger.service import Teller
from cloud.metering import manual_reads
from cloud.metering.manual_repository import ManualRead
from tests.fixtures.estate import at, meter, premise, put_on_file

TELLER = Teller("p", "clerk", at("2026-10-01T09:00:00"))
HEADER = ",".join(COLUMNS)
ROWS = f"""{HEADER}
1-101,property-fee,2026-08,237.24,237.24,,,
1-101,property-fee,2026-09,237.24,100.00,,,
1-101,,,,,50.00,,
1-101,,,,,,500.00,
1-101,water,,,,,,175.00
"""
BY_HAND = {"gateway": None, "device": None, "profile": None, "point": None}


@pytest.fixture
def estate(engine: Engine) -> Engine:
    water = {"service": "water", "exponent": -3, "tariff": "cn-beijing-water"}
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 10, 1),
            premises=[premise("1-101")],
            meters=[meter("w", premise="1-101", **water, **BY_HAND)],
        )
        for day, count in (("2026-10-01", 0), ("2026-11-01", 10_000)):
            taken = ManualRead(
                meter_point_id="mp-w", read_at_us=at(f"{day}T00:00:00"), count=count, taken_by="li"
            )
            manual_reads.store(connection, taken)
    return engine


def openings(text: str = ROWS) -> Openings:
    return parse_openings(text, name="old.csv")


def test_what_was_owed_prepaid_and_deposited_stands_in_the_books(estate: Engine) -> None:
    with estate.begin() as connection:
        assert take_over(connection, TELLER, openings(), as_of=date(2026, 10, 1)) == 6
        assert take_over(connection, TELLER, openings(), as_of=date(2026, 10, 1)) == 0
        held = service.standing_of(connection, "p", "1-101")
        assert ledger.imbalance(connection) == []
        rows = reports.collection(connection, "p", first="2026-08", last="2026-09")
        day = date(2026, 10, 1)
        assert reports.takings(connection, "p", first=day, last=day) == [], "not our till"
    assert (held.owed_fen, held.prepaid_fen, held.deposit_fen) == (137_24, 50_00, 500_00)
    assert [(row.charged_fen, row.received_fen, row.owed_fen) for row in rows] == [
        (237_24, 237_24, 0),
        (237_24, 100_00, 137_24),
    ]


def test_annual_tiers_go_on_from_what_was_used_so_far(estate: Engine) -> None:
    with estate.begin() as connection:
        take_over(connection, TELLER, openings(), as_of=date(2026, 10, 1))
    runs.run(estate, "p", "2026-10", allow_unverified=True)
    with estate.connect() as connection:
        (bill,) = bill_repository.standing(connection, ["1-101"], since=date(2026, 10, 1))
    assert bill.total_fen == 5 * 500 + 5 * 700


def test_unknown_accounts_are_named_and_nothing_is_entered(estate: Engine) -> None:
    wanted = openings(f"{ROWS}9-999,,,,,1.00,,\n")
    with estate.begin() as connection:
        with pytest.raises(NotFoundError, match="9-999"):
            take_over(connection, TELLER, wanted, as_of=date(2026, 10, 1))
        assert service.standing_of(connection, "p", "1-101").prepaid_fen == 0


def test_the_command_enters_only_what_meets_the_totals(
    estate: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = estate.url.render_as_string(hide_password=False)
    monkeypatch.setenv("HUTONG_DATABASE_URL", url.replace("+psycopg", ""))
    file, totals = tmp_path / "old.csv", tmp_path / "totals.json"
    file.write_text(ROWS, encoding="utf-8")

    def told(*options: str) -> tuple[int, str]:
        command = ["bill", "import", str(file), "--project", "p", "--totals", str(totals)]
        done = CliRunner().invoke(app, [*command, "--as-of", "2026-10", "--json", *options])
        return done.exit_code, done.output or str(done.exception)

    said = {"receivable": {"property-fee": "137.23"}, "prepaid": "50.00", "deposit": "500.00"}
    totals.write_text(json.dumps(said), encoding="utf-8")
    code, text = told()
    assert (code, "the rows add up to 137.24" in text) == (1, True)
    with estate.begin() as connection:
        assert service.standing_of(connection, "p", "1-101").owed_fen == 0
    said["receivable"] = {"property-fee": "137.24"}
    totals.write_text(json.dumps(said), encoding="utf-8")
    code, text = told("--dry-run")
    assert (code, json.loads(text)["entered"]) == (0, 0)
    code, text = told()
    assert (code, json.loads(text)["entered"]) == (0, 6)
