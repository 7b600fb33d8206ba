"""The doctor: each check fails by a real cause, and says what to do."""

import datetime as dt
import gc
import http.server
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Engine, Table
from typer.testing import CliRunner

from cloud.billing.run_tables import bill_runs, exceptions
from cloud.cli import app
from cloud.database import migrate
from cloud.ingest.clock_tables import undated_batches
from cloud.ingest.tables import batches, envelopes, lanes, outbox, quarantine
from cloud.ledger.tables import accounts
from cloud.notify.tables import messages
from cloud.operations import database_checks, machine_checks
from cloud.operations.doctor import examine
from cloud.operations.findings import Finding
from cloud.operations.setting_checks import OTHERS
from cloud.proofs.tables import checked_batches
from cloud.sites.tables import buildings, gateways, premises
from edge.config import Settings as EdgeSettings
from tests.faults.small_disks import tmpfs
from tests.fixtures.brokers import Mosquitto
from tests.fixtures.delivery import add_site
from tests.fixtures.system_parts import free_port

Examine = Callable[..., dict[str, list[Finding]]]


@pytest.fixture
def doctor(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Give a way to examine this installation: findings by check, of a level or of all."""
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    monkeypatch.setenv("HUTONG_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HUTONG_DATABASE_URL", url)
    monkeypatch.setenv("HUTONG_PORT", str(free_port()))
    monkeypatch.setenv("HUTONG_MQTT_PORT", str(free_port()))

    def look(level: str = "", **environment: str) -> dict[str, list[Finding]]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        found: dict[str, list[Finding]] = {}
        for item in examine(environment):
            if level in ("", item.level):
                found.setdefault(item.check, []).append(item)
        assert all(bool(it.todo) == (it.level != "ok") for all_ in found.values() for it in all_)
        return found

    return look


def test_a_sound_installation_has_no_error(engine: Engine, doctor: Examine) -> None:
    add_site(engine, "gw-1")
    _seen(engine, time.time_ns() // 1000)
    found = doctor()
    assert {it.level for all_ in found.values() for it in all_} == {"ok", "warning"}
    assert set(doctor("warning")) == {"service", "backup"}


def test_unknown_settings_are_told_with_the_nearest(doctor: Examine) -> None:
    (found,) = doctor("warning", HUTONG_DATABSE_URL="x")["settings"]
    assert "HUTONG_DATABSE_URL" in found.means
    assert found.todo == "rename it to HUTONG_DATABASE_URL"


def test_settings_of_the_gateway_are_known() -> None:
    names = {f"HUTONG_{name.upper()}": "x" for name in EdgeSettings.model_fields}
    only = set(names) - {"HUTONG_DATA_DIR", "HUTONG_MQTT_URL", "HUTONG_MQTT_CA_FILE"}
    assert only - OTHERS <= {"HUTONG_LOG_FORMAT"}


def test_a_setting_that_is_wrong_is_an_error(doctor: Examine) -> None:
    (found,) = doctor("error", HUTONG_BILL_DUE_DAYS="many")["settings"]
    assert "HUTONG_BILL_DUE_DAYS" in found.means


def test_files_that_cannot_be_read_are_errors(doctor: Examine, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    found = doctor(
        "error",
        HUTONG_FONTS=missing,
        HUTONG_TARIFFS=missing,
        HUTONG_ALIPAY_PRIVATE_KEY_FILE=missing,
    )
    assert {"files", "tariffs", "payment keys"} <= set(found)
    assert len(found["files"]) == 2


@pytest.mark.parametrize(("days", "level"), [(-1, "error"), (20, "warning"), (40, "ok")], ids=str)
def test_certificates_expire(doctor: Examine, tmp_path: Path, days: int, level: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(_certificate(days))
    found = doctor(HUTONG_MQTT_CA_FILE=str(file)).get("files", [])
    assert [it.level for it in found] == ([] if level == "ok" else [level])


def test_a_small_disk_is_told(doctor: Examine, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 8) as folder:
        (found,) = doctor("error", HUTONG_DATA_DIR=str(folder))["disk"]
    assert "MiB are free" in found.means


def test_a_long_write_ahead_log_is_told(
    sqlite_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    doctor: Examine,
) -> None:
    monkeypatch.setattr(machine_checks, "LARGE_WAL", 100_000)
    file = Path(str(sqlite_engine.url.database))
    with closing(sqlite3.connect(file)) as reader, closing(sqlite3.connect(file)) as writer:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM projects").fetchall()
        writer.execute("CREATE TABLE large (body BLOB)")
        writer.execute("INSERT INTO large VALUES (zeroblob(500000))")
        writer.commit()
        found = doctor("warning", HUTONG_DATABASE_URL=f"sqlite:///{file}")
        assert "write-ahead log" in found


def test_a_database_that_is_not_there(doctor: Examine, tmp_path: Path) -> None:
    gone = f"sqlite:///{tmp_path / 'none' / 'x.db'}"
    assert "there is none" in doctor("error", HUTONG_DATABASE_URL=gone)["database"][0].means
    far = f"postgresql://hutong:secret@127.0.0.1:{free_port()}/x"
    (found,) = doctor("error", HUTONG_DATABASE_URL=far)["database"]
    assert "secret" not in found.means


def test_a_damaged_database_is_told(sqlite_engine: Engine, doctor: Examine) -> None:
    sqlite_engine.dispose()
    file = Path(str(sqlite_engine.url.database))
    body = bytearray(file.read_bytes())
    body[4096 * 3 : 4096 * 60] = bytes(4096 * 57)
    file.write_bytes(body)
    assert "database" in doctor("error", HUTONG_DATABASE_URL=f"sqlite:///{file}")


def test_a_lost_reference_is_told(sqlite_engine: Engine, doctor: Examine) -> None:
    file = str(sqlite_engine.url.database)
    with closing(sqlite3.connect(file)) as db:
        db.execute("INSERT INTO gateways (id, project_id, name) VALUES ('g', 'none', 'g')")
        db.commit()
    (found,) = doctor("error", HUTONG_DATABASE_URL=f"sqlite:///{file}")["database"]
    assert "gateways" in found.means


def test_schemas_of_other_versions_are_told(
    engine: Engine, doctor: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(engine, "0016")
    assert "0016" in doctor("warning")["schema"][0].means
    migrate(engine)
    monkeypatch.setattr(database_checks, "revisions", lambda: ["0001", "0002"])
    assert "newer" in doctor("error")["schema"][0].means


def test_ports_that_others_have_are_errors(doctor: Examine) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert (
            "HUTONG_PORT" in doctor("error", HUTONG_PORT=str(server.server_port))["ports"][0].todo
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (found,) = doctor("error", HUTONG_PORT=str(free_port()), HUTONG_MQTT_PORT=port)["ports"]
        assert "HUTONG_MQTT_PORT" in found.todo


@pytest.mark.mosquitto
def test_the_broker_is_logged_in_to(doctor: Examine, mosquitto: Mosquitto) -> None:
    assert doctor("ok", HUTONG_MQTT_URL=mosquitto.url)["broker"]
    away = f"mqtt://user:secret@127.0.0.1:{free_port()}"
    (found,) = doctor("error", HUTONG_MQTT_URL=away)["broker"]
    assert "secret" not in found.means


@pytest.mark.mosquitto
# paho leaves the socket of a handshake that failed to the garbage collection
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_without_tls_is_told(doctor: Examine, mosquitto: Mosquitto) -> None:
    tls = mosquitto.url.replace("mqtt://", "mqtts://")
    assert doctor("error", HUTONG_MQTT_URL=tls)["broker"]
    gc.collect()


def test_backups_grow_old(doctor: Examine, tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    last = tmp_path / "last-backup.json"
    for age_h, level in ((1, "ok"), (40, "warning")):
        at = (now - dt.timedelta(hours=age_h)).isoformat()
        last.write_text(json.dumps({"at": at, "path": "x", "size": 1}), "utf-8")
        assert "backup" in doctor(level)
    last.write_text("{", "utf-8")
    assert "cannot be read" in doctor("warning")["backup"][0].means


def test_troubled_gateways_are_told(engine: Engine, doctor: Examine) -> None:
    now_us = time.time_ns() // 1000
    add_site(engine, "gw-new", "gw-silent", "gw-fenced", "gw-late", "gw-undated")
    _seen(engine, now_us)
    with engine.begin() as connection:
        for name, change in {
            "gw-new": {"last_seen_us": None},
            "gw-silent": {"last_seen_us": now_us - 300_000_000},
            "gw-late": {"backlog": 5000},
        }.items():
            connection.execute(gateways.update().where(gateways.c.id == name).values(**change))
    _add(engine, lanes, gateway_id="gw-fenced", lane=1, epoch=b"e" * 8, fenced=True)
    _add(engine, envelopes, gateway_id="gw-fenced", lane=1, epoch=b"e" * 8, received_us=now_us)
    _add(engine, undated_batches, gateway_id="gw-undated", readings=3)
    errors, warnings = doctor("error"), doctor("warning")
    assert "silent since" in errors["gateway gw-silent"][0].means
    assert "fenced" in errors["gateway gw-fenced"][0].means
    assert "never heard" in warnings["gateway gw-new"][0].means
    assert "5000 batches behind" in warnings["gateway gw-late"][0].means
    assert "3 readings" in warnings["gateway gw-undated"][0].means


def test_a_clock_that_went_back_is_an_error(engine: Engine, doctor: Examine) -> None:
    _add(engine, batches, received_us=time.time_ns() // 1000 + 3_600_000_000)
    assert "went back" in doctor("error")["clock"][0].means


def test_what_waits_is_told(
    engine: Engine, doctor: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_checks, "LATE_OUTBOX", 0)
    now_us = time.time_ns() // 1000
    add_site(engine, "gw-1")
    _seen(engine, now_us)
    assert "waiting" in doctor("ok")
    of_project = {"project_id": "p-1"}
    _add(engine, buildings, id="b", **of_project)
    _add(engine, premises, id="h", building_id="b", **of_project)
    _add(engine, accounts, id="h", premise_id="h", **of_project)
    _add(engine, quarantine, gateway_id="gw-1")
    _add(engine, checked_batches, good=False)
    _add(engine, outbox, gateway_id="gw-1")
    _add(engine, bill_runs, phase="posting", started_us=now_us - 2 * 3_600_000_000, **of_project)
    _add(engine, exceptions, meter_point_id=None, account_id="h", **of_project)
    _add(
        engine,
        messages,
        account_id="h",
        reminder_id=None,
        state="given_up",
        made_us=now_us,
        **of_project,
    )
    assert "proofs" in doctor("error")
    told = doctor("warning")
    assert {"quarantine", "outbox", "bill runs", "held bills", "messages"} <= set(told)
    assert "waiting" not in doctor()


def test_the_command_fails_for_errors(doctor: Examine, tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["doctor"]).exit_code == 0
    doctor(HUTONG_TARIFFS=str(tmp_path / "none"))
    answer = runner.invoke(app, ["doctor", "--json"])
    assert answer.exit_code == 1
    assert {"check", "level", "means", "todo"} == set(json.loads(answer.stdout)[0])


def _seen(engine: Engine, at_us: int) -> None:
    with engine.begin() as connection:
        connection.execute(gateways.update().values(last_seen_us=at_us))


def _add(engine: Engine, table: Table, **given: object) -> None:
    """Insert a row of which only some columns matter."""
    any_of = {int: 1, str: "x", dt.date: dt.date(2026, 7, 1), bytes: b"x", bool: False}
    row: dict[str, object] = {
        column.name: any_of[column.type.python_type]
        for column in table.c
        if not (column.primary_key and column.autoincrement is True) and not column.nullable
    }
    with engine.begin() as connection:
        connection.execute(table.insert().values(row | given))


def _certificate(days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=100))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, SHA256())
    )
    return built.public_bytes(Encoding.PEM)
