"""The gateway's doctor: each check fails by a real cause, and a running gateway goes on."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge import doctor as checks
from edge.cli import app
from edge.journal import Journal
from tests.faults.small_disks import tmpfs
from tests.fixtures.brokers import Mosquitto
from tests.fixtures.delivery import fill
from tests.fixtures.system_parts import free_port

Examine = Callable[[], dict[str, tuple[str, str]]]


@pytest.fixture
def bus() -> Iterator[int]:
    """Give a port that takes connections, as a Modbus gateway does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def config(tmp_path: Path, bus: int, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUTONG_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HUTONG_MQTT_URL", mosquitto.url)
    monkeypatch.setenv("HUTONG_TRUST_CLOCK", "true")
    return _write(tmp_path, f"{{id: b, kind: modbus-tcp, host: 127.0.0.1, port: {bus}}}")


@pytest.fixture
def doctor(config: Path) -> Examine:
    """Give a way to ask the program: level and meaning by check."""

    def ask() -> dict[str, tuple[str, str]]:
        answer = CliRunner().invoke(app, ["doctor", "--config", str(config), "--json"])
        found = {it["check"]: (it["level"], it["means"]) for it in json.loads(answer.stdout)}
        assert answer.exit_code == int("error" in {level for level, _ in found.values()})
        return found

    return ask


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "gw-1.journal", "gw-1")
    yield made
    made.close()


pytestmark = pytest.mark.mosquitto


def test_a_sound_gateway(doctor: Examine, journal: Journal) -> None:
    fill(journal, 3)
    found = doctor()
    assert {level for level, _ in found.values()} == {"ok"}
    assert set(found) == {"config", "bus b", "journal", "disk", "broker", "clock"}


def test_a_wrong_file_is_told(doctor: Examine, config: Path) -> None:
    config.write_text("gateway: gw-1\n", "utf-8")
    assert doctor()["config"][0] == "error"


def test_a_bus_that_does_not_answer_is_told(doctor: Examine, tmp_path: Path) -> None:
    _write(tmp_path, f"{{id: b, kind: modbus-tcp, host: 127.0.0.1, port: {free_port()}}}")
    assert doctor()["bus b"][0] == "error"


def test_serial_ports_are_looked_at(doctor: Examine, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    try:
        _write(tmp_path, f"{{id: b, kind: modbus-rtu, port: {os.ttyname(theirs)}}}")
        assert doctor()["bus b"][0] == "ok"
    finally:
        os.close(ours)
        os.close(theirs)
    _write(tmp_path, f"{{id: b, kind: modbus-rtu, port: {tmp_path / 'none'}}}")
    assert "No such file" in doctor()["bus b"][1]
    _write(tmp_path, f"{{id: b, kind: modbus-rtu, port: {tmp_path / 'gateway.yaml'}}}")
    assert "is no serial port" in doctor()["bus b"][1]


def test_the_journal_is_looked_at(
    doctor: Examine, tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(journal, 5)
    monkeypatch.setattr(checks, "LATE_BATCHES", 4)
    assert "5 batches wait" in doctor()["backlog"][1]
    journal.close()
    file = tmp_path / "gw-1.journal"
    body = bytearray(file.read_bytes())
    body[len(body) // 2 :] = bytes(len(body) - len(body) // 2)
    file.write_bytes(body)
    assert doctor()["journal"][0] == "error"
    file.unlink()
    assert doctor()["journal"][0] == "warning"


def test_the_disk_is_looked_at(
    doctor: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_DATA_DIR", str(tmp_path / "none"))
    assert doctor()["disk"][0] == "error"
    with tmpfs(tmp_path / "small", 8) as folder:
        monkeypatch.setenv("HUTONG_DATA_DIR", str(folder))
        assert "MiB are free" in doctor()["disk"][1]
        assert doctor()["disk"][0] == "error"


def test_broker_and_clock(doctor: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTONG_MQTT_URL", f"mqtt://u:secret@127.0.0.1:{free_port()}")
    monkeypatch.setenv("HUTONG_TRUST_CLOCK", "false")
    monkeypatch.setattr(checks, "is_disciplined", lambda: False)
    found = doctor()
    assert found["broker"][0] == "error"
    assert "secret" not in found["broker"][1]
    assert found["clock"][0] == "warning"


def _write(folder: Path, bus: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(
        "gateway: gw-1\n"
        f"buses: [{bus}]\n"
        "devices: [{id: e-1, bus: b, unit_id: 1, profile: eastron-sdm120}]\n",
        encoding="utf-8",
    )
    return path
