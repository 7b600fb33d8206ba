"""A posting run killed anywhere: the same bills to the byte, and numbers without gaps."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from cloud.billing import runs
from cloud.billing.run_repository import RunKey
from cloud.database import open_engine
from cloud.ledger import repository as ledger
from cloud.metering import manual_reads
from cloud.metering.manual_repository import ManualRead
from cloud.tables import metadata
from tests.fixtures.databases import copied_sqlite, fresh_postgres
from tests.fixtures.estate import at, meter, premise, put_on_file

KILLS = int(os.environ.get("HUTONG_BILL_KILLS", "20"))
WORKERS = 4
HOMES = [f"1-{floor}0{door}" for floor in range(1, 5) for door in range(1, 4)]
BY_HAND = {"gateway": None, "device": None, "profile": None, "point": None}
PERIOD = "2026-10"
KEY = RunKey("p", PERIOD, 1)
# what differs from run to run: when something was written, and in which order rows got their ids
CLOCKS = {"posted_us", "finished_us", "started_us", "entered_us", "entered_on", "closed_us"}
CLOCKS |= {"judged_us", "id", "entry_id"}
COMPARED = ("bills", "line_items", "credit_notes", "pool_statements", "pool_shares", "closings")
COMPARED += ("document_numbers", "bill_exceptions", "bill_runs")


def estate(engine: Engine) -> None:
    """Put homes with two services, a fee and a pool on file, and what was read of them."""
    fee = {"item": "property-fee", "tariff": "cn-property-fee-area", "from_on": "2026-10-01"}
    pool = {"building": "b1", "name": "照明", "name_en": "Light", "kind": "public", "id": "light"}
    pool |= {"master": "mp-m", "resolution": "决议", "resolution_on": "2025-03-01"}
    tariff = {"tariff": "cn-beijing-electricity-tiered", "parent": "mp-m"}
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 10, 1),
            premises=[premise(name, f"{70 + 3 * place}.5") for place, name in enumerate(HOMES)],
            meters=[
                meter("m", role="master", supply="public", **BY_HAND),
                meter("l", role="public", supply="public", parent="mp-m", **BY_HAND),
                *(meter(f"e{name}", premise=name, **tariff, **BY_HAND) for name in HOMES),
                *(
                    meter(
                        f"w{name}",
                        premise=name,
                        service="water",
                        tariff="cn-beijing-water",
                        **BY_HAND,
                    )
                    for name in HOMES
                ),
            ],
            charges=[fee | {"premise": name} for name in HOMES],
            pools=[pool | {"cap_percent": "20"}],
            invoices=[{"master": "mp-m", "number": "F", "quantity": "9000", "amount": "5190.7"}],
        )
        used = {"m": 400_000, "l": 40_000}
        used |= {f"e{name}": 21_000 + 1_111 * place for place, name in enumerate(HOMES)}
        used |= {f"w{name}": 1_000 + 97 * place for place, name in enumerate(HOMES[:-1])}
        for name, count in used.items():
            for when, said in (("2026-10-01T00:00:00", 0), ("2026-11-01T00:00:00", count)):
                read = ManualRead(
                    meter_point_id=f"mp-{name}", read_at_us=at(when), count=said, taken_by="li"
                )
                manual_reads.store(connection, read)


def begin(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a run of a shard for each home."""
    monkeypatch.setattr(runs, "ACCOUNTS_AT_ONCE", 1)
    with engine.begin() as connection:
        assert runs.start(connection, "p", PERIOD, allow_unverified=True, by="test").key == KEY


def posted(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Return all that a run leaves behind, but for clocks."""
    found: dict[str, list[tuple[object, ...]]] = {}
    with engine.connect() as connection:
        for name in COMPARED:
            table = metadata.tables[name]
            ours = [
                column
                for column in table.c
                if column.name not in CLOCKS or name in ("bills", "line_items")
            ]
            ours = [column for column in ours if column.name != "posted_us"]
            found[name] = sorted(map(tuple, connection.execute(select(*ours))), key=repr)
        entries, lines = metadata.tables["ledger_entries"], metadata.tables["ledger_lines"]
        query = select(entries.c.key, entries.c.account_id, entries.c.kind)
        query = query.add_columns(lines.c.book, lines.c.amount_fen, lines.c.period, lines.c.item)
        query = query.join(lines, lines.c.entry_id == entries.c.id)
        found["entries"] = sorted(map(tuple, connection.execute(query)), key=repr)
        assert ledger.imbalance(connection) == []
        for name in ("run_shards", "bill_drafts", "draft_uses"):
            assert connection.execute(select(metadata.tables[name])).all() == []
    return found


@pytest.fixture(scope="module")
def originals(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, list[tuple[object, ...]]]]:
    """Give the estate with a run begun, and what the run leaves if nobody kills it."""
    folder, whole = tmp_path_factory.mktemp("estate"), tmp_path_factory.mktemp("whole")
    with copied_sqlite(migrated_sqlite, folder) as engine, pytest.MonkeyPatch.context() as patch:
        estate(engine)
        begin(engine, patch)
    with copied_sqlite(folder / "hutong.db", whole) as engine:
        runs.finish(engine, KEY)
        return folder / "hutong.db", posted(engine)


def check(killed_run: Engine, wanted: dict[str, list[tuple[object, ...]]], seed: int) -> int:
    """Finish a run with workers that are killed; return how many were."""
    url = killed_run.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.faults.bill_run_driver", url]
    command += [KEY.project_id, KEY.period, str(KEY.number), str(seed), str(WORKERS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = posted(killed_run)
    for name, rows in wanted.items():
        assert found[name] == rows, f"seed {seed}: {name}"
    numbers = sorted(str(row[1]) for row in found["bills"])
    assert numbers == [f"B{place + 1:08d}" for place in range(len(numbers))]
    # the log goes before it
    return int(done.stdout.splitlines()[-1])


def test_a_killed_run_posts_the_same_bills(
    originals: tuple[Path, dict[str, list[tuple[object, ...]]]], tmp_path: Path
) -> None:
    original, wanted = originals
    assert len(wanted["bills"]) == 4 * len(HOMES) - 1
    killed = seed = 0
    while killed < KILLS:
        seed += 1
        (tmp_path / str(seed)).mkdir()
        with copied_sqlite(original, tmp_path / str(seed)) as engine:
            killed += check(engine, wanted, seed)


@pytest.mark.postgres
def test_a_killed_run_posts_the_same_bills_on_postgresql(
    originals: tuple[Path, dict[str, list[tuple[object, ...]]]],
    migrated_postgres: str,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, wanted = originals
    with fresh_postgres(postgres_url, template=migrated_postgres) as filled:
        engine = open_engine(filled)
        estate(engine)
        begin(engine, monkeypatch)
        engine.dispose()
        killed = seed = 0
        while killed < KILLS:
            seed += 1
            with fresh_postgres(postgres_url, template=filled.rsplit("/", 1)[1]) as url:
                engine = open_engine(url)
                killed += check(engine, wanted, seed)
                engine.dispose()
