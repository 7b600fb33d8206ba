"""hutong-edge journal: status, export and downgrade beside a running gateway."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.journal import Journal
from edge.journal_migrations import version_of
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event, instant
from protocols.errors import ConfigError, HutongError
from tests.fixtures.delivery import START_US, reading

RUNNER = CliRunner()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "gateway: gw-1\n"
        "journal: {max_mib: 64, grace_days: 3}\n"
        "buses: [{id: b, kind: modbus-tcp, host: 127.0.0.1, port: 1}]\n"
        "devices: [{id: e-1, bus: b, unit_id: 1, profile: eastron-sdm120}]\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("HUTONG_DATA_DIR", str(tmp_path))
    return path


@pytest.fixture
def running(config: Path) -> Journal:
    """Give a journal that stays open, as a running gateway's does."""
    journal = Journal(config.parent / "gw-1.journal", "gw-1")
    journal.append(LANE_READINGS, [reading(0), reading(1, quality=2)], seal_at_us=START_US)
    journal.append(LANE_EVENTS, [Event("d-1", "door", START_US, 3, {"n": 1})], seal_at_us=START_US)
    journal.append(LANE_READINGS, [reading(2)])
    return journal


def invoke(*words: str | Path) -> str:
    done = RUNNER.invoke(app, ["journal", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_status(config: Path, running: Journal) -> None:
    with closing(running):
        text = invoke("status", "--config", config)
        assert "lane 1: epoch" in text
        assert "waiting 1, tail 1 records" in text
        found = json.loads(invoke("status", "--config", config, "--json"))
    assert (found["step"], found["format"]) == ("roomy", 2)
    assert [lane["next"] for lane in found["lanes"]] == [2, 2]
    assert found["file_bytes"] > found["batch_bytes"] > 0


def test_export_as_lines_and_table(config: Path, running: Journal, tmp_path: Path) -> None:
    with closing(running):
        lines = [json.loads(line) for line in invoke("export", "--config", config).splitlines()]
        table = tmp_path / "out.csv"
        invoke("export", "--config", config, "--format", "csv", "--out", table)
    assert [(line["kind"], line["value"], line["quality"]) for line in lines] == [
        ("reading", "10.00", "good"),
        ("reading", "10.01", "suspect"),
        ("door", None, ""),
        ("reading", "10.02", "good"),
    ]
    assert [bool(line["batch"]) for line in lines] == [True, True, True, False]
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["value"] for row in rows] == ["10.00", "10.01", "", "10.02"]
    assert json.loads(rows[2]["body"]) == {"n": 1}


def test_export_of_a_span_into_sqlite(config: Path, running: Journal, tmp_path: Path) -> None:
    out = tmp_path / "out.db"
    since, until = (instant(reading(number).read_at_us).isoformat() for number in (1, 2))
    with closing(running):
        words = ("--config", config, "--format", "sqlite", "--out", out)
        invoke("export", *words, "--from", since, "--to", until)
    with closing(sqlite3.connect(out)) as db:
        assert db.execute("SELECT device, value FROM readings").fetchall() == [("e-1", "10.01")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "sqlite"), "--out: a SQLite export needs a file"),
        (("--from", "yesterday"), "--from: 'yesterday'"),
        (("--from", "2026-07-01T00:00:00"), "--from: '2026-07-01T00:00:00'"),
    ],
)
def test_bad_options_are_named(
    words: tuple[str, ...], message: str, config: Path, running: Journal
) -> None:
    with closing(running), pytest.raises(ConfigError, match=message):
        invoke("export", "--config", config, *words)


def test_a_file_that_is_there_is_not_written_over(config: Path, running: Journal) -> None:
    with closing(running), pytest.raises(ConfigError, match="is there already"):
        invoke("export", "--config", config, "--out", config)


def test_downgrade_and_back(config: Path, running: Journal) -> None:
    running.close()
    assert "format 2 -> 1" in invoke("downgrade", "--config", config, "--to", "1")
    with closing(sqlite3.connect(running.path)) as db:
        assert version_of(db) == 1
    with pytest.raises(ConfigError, match="--to: 3: the journal has format 1"):
        invoke("downgrade", "--config", config, "--to", "3")
    with closing(Journal(running.path, "gw-1")) as again:
        assert again.seal(LANE_READINGS, START_US) == 3


def test_no_journal_yet_is_said(config: Path) -> None:
    with pytest.raises(HutongError, match="there is no such file"):
        invoke("status", "--config", config)
