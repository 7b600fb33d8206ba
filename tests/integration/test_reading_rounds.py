"""Rounds 抄表 and files of reads on both databases: counts, one read per form, the command."""

import json
import threading
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, func, select
from typer.testing import CliRunner

from cloud.cli import app
from cloud.errors import NotFoundError, RefusedError
from cloud.metering import file_reads, manual_reads, reading_rounds, round_queries
from cloud.metering.file_reads import Filing
from cloud.metering.manual_repository import ManualRead
from cloud.metering.plausibility import Answer
from cloud.metering.read_files import FileRow
from cloud.metering.reading_tables import manual_reads as table
from tests.fixtures.estate import at, meter, premise, put_on_file

ZONE = ZoneInfo("Asia/Shanghai")
NOW_US = at("2026-12-01T00:00:00")
NAMES = ("1-10", "1-2", "1-1")
BY_HAND = {"gateway": None, "device": None, "profile": None, "point": None}


@pytest.fixture
def homes(engine: Engine) -> Engine:
    """Give three homes that no gateway reads, and one that a gateway does."""
    meters = [meter(name, premise=name, installed_on="2026-09-01", **BY_HAND) for name in NAMES]
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 10, 1),
            premises=[premise(name) for name in (*NAMES, "1-3")],
            meters=[*meters, meter("1-3", premise="1-3")],
        )
    return engine


def opened(engine: Engine) -> int:
    with engine.begin() as connection:
        names = round_queries.unread_by_gateways(connection, "p")
        assert names == {f"mp-{name}" for name in NAMES}
        walk = [place.id for place in round_queries.places_of(connection, "p", sorted(names))]
        assert walk == ["mp-1-1", "mp-1-2", "mp-1-10"]
        return reading_rounds.open_round(
            connection, "p", "November", {"1号楼": walk}, read_on=date(2026, 11, 30), by="li"
        )


def read(name: str, count: int) -> ManualRead:
    return ManualRead(meter_point_id=f"mp-{name}", read_at_us=NOW_US, count=count, taken_by="li")


def row(line: int, name: str, register: str, read_at: str = "2026-11-01") -> FileRow:
    return FileRow(line, name, "", register, read_at, "")


def count_of(engine: Engine) -> int:
    with engine.connect() as connection:
        query = select(func.count()).select_from(table).where(table.c.withdrawn_us.is_(None))
        return int(connection.scalar(query) or 0)


def test_rounds_tell_how_far_they_are(homes: Engine) -> None:
    round_id = opened(homes)
    with homes.begin() as connection:
        taken = reading_rounds.take_in_round(connection, round_id, read("1-2", 700), now_us=NOW_US)
        (found,) = round_queries.rounds_of(connection, "p")
        assert (found.read, found.estimated, found.listed) == (1, 0, 3)
        assert round_queries.rounds_of(connection, "q") == []
        manual_reads.withdraw_read(connection, taken.id, by="li", why="x")
        again = reading_rounds.take_in_round(connection, round_id, read("1-2", 701), now_us=NOW_US)
        assert again.id
        (found,) = round_queries.rounds_of(connection, "p")
        assert (found.read, found.listed) == (1, 3), "a withdrawn read does not count twice"
        place = round_queries.places_of(connection, "p", ["mp-1-2"])[0]
    assert place.meter is not None
    assert (place.meter.count, place.meter.read_at_us) == (701, NOW_US)
    assert str(place.meter.register) == "7.01"


def test_one_form_sent_by_two_at_once_stores_one_read(homes: Engine) -> None:
    round_id = opened(homes)
    found: list[int] = []
    together = threading.Barrier(4)

    def press() -> None:
        together.wait(timeout=30)
        with homes.begin() as connection:
            taken = reading_rounds.take_in_round(
                connection, round_id, read("1-1", 500), nth=0, now_us=NOW_US
            )
        found.append(taken.id)

    threads = [threading.Thread(target=press, name=f"press {n}") for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == 4
    assert len(set(found)) == 1
    assert count_of(homes) == 1
    with pytest.raises(RefusedError, match="withdraw that read first"), homes.begin() as connection:
        reading_rounds.take_in_round(connection, round_id, read("1-1", 501), nth=0, now_us=NOW_US)


def test_a_file_is_taken_as_one_act_with_each_rows_reason(homes: Engine) -> None:
    round_id = opened(homes)
    rows = [
        row(2, "mp-1-1", "5.00", ""),
        row(3, "mp-1-1", "6.00"),
        row(4, "mp-1-3", "1"),
        row(5, "mp-1-2", "7.005"),
        FileRow(6, "", "1-10", "9", "2026-11-02 08:30", "hall"),
        FileRow(7, "", "1-99", "9", "2026-11-02", ""),
        row(8, "mp-1-2", "7", "2027-01-01"),
    ]
    filing = Filing("p", "nov.xlsx", "li", round_id)
    with homes.begin() as connection:
        tried = file_reads.file_reads(connection, filing, rows, dry_run=True, now_us=NOW_US)
        filed = file_reads.file_reads(connection, filing, rows, now_us=NOW_US)
    assert tried.outcomes == filed.outcomes
    assert (tried.import_id, filed.stored) == (None, 2)
    assert [item.row.line for item in filed.outcomes] == [2, 3, 4, 5, 6, 7, 8]
    reasons = {item.row.line: item.reason for item in filed.of(Answer.REFUSE)}
    assert "has a read of it already" in reasons[3]
    assert "does not list" in reasons[4]
    assert "2 decimals" in reasons[5]
    assert "no meter has it" in reasons[7]
    assert "allowed is up to now" in reasons[8]
    with homes.begin() as connection:
        held = connection.execute(select(table).order_by(table.c.id)).mappings().all()
        assert [(item["meter_point_id"], item["read_at_us"]) for item in held] == [
            ("mp-1-10", at("2026-11-02T08:30:00")),
            ("mp-1-1", at("2026-11-30T00:00:00")),
        ]
        (progress,) = round_queries.rounds_of(connection, "p")
        assert progress.read == 2
        assert filed.import_id is not None
        with pytest.raises(NotFoundError):
            file_reads.undo(connection, "q", filed.import_id, by="x", why="x", now_us=NOW_US)
        file_reads.undo(connection, "p", filed.import_id, by="li", why="month", now_us=NOW_US)
        (progress,) = round_queries.rounds_of(connection, "p")
        assert progress.read == 0
        (told,) = round_queries.imports_of(connection, "p")
        assert (told.reads, told.undone_by) == (2, "li")
        reading_rounds.close_round(connection, round_id, by="li", estimate=False)
        with pytest.raises(RefusedError, match="closed"):
            file_reads.file_reads(connection, filing, rows, now_us=NOW_US)


def test_the_command_tries_imports_and_undoes(
    homes: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = homes.url.render_as_string(hide_password=False).replace("+psycopg", "")
    monkeypatch.setenv("HUTONG_DATABASE_URL", url)
    file = tmp_path / "oct.csv"
    lines = ["计量点,本期示数,抄表时间", "mp-1-1,5,2026-10-31", "mp-1-2,x,2026-10-31"]
    file.write_text("\n".join(lines), encoding="gb18030")

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["reads", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    tried = run("import", str(file), "--project", "p", "--dry-run")
    assert f"{file}: line 3: refuse: register: 'x'" in tried
    assert "0 stored, 1 accepted, 0 asked, 1 refused" in tried
    assert count_of(homes) == 0
    told = json.loads(run("import", str(file), "--project", "p", "--by", "li", "--json"))
    assert (told["stored"], told["refused"]) == (1, 1)
    assert count_of(homes) == 1
    assert "1 reads withdrawn" in run("undo", str(told["import"]), "--why", "wrong month")
    assert count_of(homes) == 0
