"""Gateway files: each fault names the file, the key and what is allowed; the program exits 2."""

import sys
from pathlib import Path

import pytest

from devices.profile import profiles_folder
from edge import cli
from edge.config import load
from protocols.errors import ConfigError

GOOD = """\
gateway: gw-1
poll: {period_s: 60, commit_s: 1}
buses:
  - {id: tcp-1, kind: modbus-tcp, host: 127.0.0.1, port: 15020}
  - {id: rtu-1, kind: modbus-rtu, port: /dev/ttyUSB0, baud: 9600}
devices:
  - {id: e-1, bus: tcp-1, unit_id: 1, profile: eastron-sdm120, points: [energy_import]}
  - {id: e-2, bus: rtu-1, unit_id: 1, profile: acrel-adl400, multipliers: {ct: "40"}, period_s: 5}
"""

FAULTS = [
    ("period_s: 60", "period_s: 0", "poll.period_s: 0: ", "greater than or equal to 1"),
    ("commit_s: 1", "commit_s: 61", "poll.commit_s: 61", "less than or equal to 60"),
    ("commit_s: 1", "commits: 1", "poll.commits: 1: ", "not permitted"),
    ("gateway: gw-1", "gateway: gw/1", "gateway: 'gw/1': ", "match pattern"),
    ("kind: modbus-tcp", "kind: modbus", "buses.0", "'modbus-tcp', 'modbus-rtu'"),
    ("port: 15020", "port: 70000", "buses.0.modbus-tcp.port: 70000: ", "65535"),
    ("baud: 9600", "baud: 9600, parity: X", "buses.1.modbus-rtu.parity: 'X': ", "'N', 'E' or 'O'"),
    ("id: rtu-1, ", "id: tcp-1, ", "buses.1.id: 'tcp-1': ", "bus ids are unique"),
    ("id: e-2", "id: e-1", "devices.1.id: 'e-1': ", "device ids are unique"),
    ("bus: rtu-1", "bus: rtu-9", "devices.1.bus: 'rtu-9': ", "allowed are tcp-1, rtu-1"),
    ("bus: rtu-1", "bus: tcp-1", "devices.1.unit_id: 1: ", "is 'e-1' on bus tcp-1"),
    ("unit_id: 1, profile: e", "unit_id: 256, profile: e", "devices.0.unit_id: 256: ", "255"),
    ("eastron-sdm120", "eastron-sdm999", "devices.0: ", "eastron-sdm630"),
    ("profile: acrel-adl400", "profile: acrel-adl400, variant: x", "variant: 'x'", "primary-float"),
    ("sdm120,", "sdm120, variant: x,", "devices.0: variant: 'x'", "none: this profile has no"),
    ("[energy_import]", "[energy]", "devices.0: points: 'energy': ", "energy_import"),
    ('{ct: "40"}', '{xt: "40"}', "devices.1: multipliers: 'xt': ", "allowed are ct, pt"),
    ('{ct: "40"}', '{ct: "0"}', "devices.1: multipliers.ct: 0: ", "numbers above 0"),
    ('{ct: "40"}', "{ct: 40}", "devices.1.multipliers.ct: 40: ", "string"),
    ("period_s: 5", "periods: {power: 5}", "devices.1.periods.power: is not read", "allowed are"),
    ("port: 15020", "port: 1, framing: ascii", "buses.0.modbus-tcp.framing: 'ascii'", "'mbap'"),
    (
        "port: 15020",
        "port: 15020, backend: pymodbus, framing: rtu",
        "buses.0.framing: only the backend native",
        "can do that",
    ),
    ("poll:", "gateway: twice\npoll:", "no valid YAML", "given twice"),
    (GOOD, "[]", "(whole file)", "object"),
    (GOOD, "a: [", "no valid YAML", "expected"),
]


def written(folder: Path, text: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD))
    assert [device.period_s or config.poll.period_s for device in config.devices] == [60, 5]
    first, second = config.devices
    assert first.meter(None).points == ("energy_import",)
    assert len(second.meter(None).points) > 1


def test_a_variant_reads_its_own_registers(tmp_path: Path) -> None:
    text = GOOD.replace("eastron-sdm120", "chint-dtsu666, variant: older-map")
    config = load(written(tmp_path, text))
    (block,) = config.devices[0].meter(None).blocks
    assert (block.function, block.address, block.count) == (3, 0x401E, 2)


def test_a_slow_meter_is_waited_for_whatever_the_bus_says(tmp_path: Path) -> None:
    text = GOOD.replace("eastron-sdm120", "carlo-gavazzi-em340")
    config = load(written(tmp_path, text.replace("port: 15020", "port: 15020, timeout_ms: 100")))
    assert config.devices[0].meter(None).patience_s == 0.6


def test_points_have_their_own_pace_and_what_bills_is_read_on_the_quarter(tmp_path: Path) -> None:
    own = "[energy_import, voltage], period_s: 7, periods: {voltage: 30}"
    config = load(written(tmp_path, GOOD.replace("[energy_import]", own)))
    meter = config.devices[0].meter(None, config.poll)
    assert meter.periods == {"energy_import": {7, 900}, "voltage": {30}}
    # every minute of the hour is one of its polls already
    text = GOOD.replace("[energy_import]", "[energy_import], period_s: 60")
    assert load(written(tmp_path, text)).devices[0].meter(None).periods["energy_import"] == {60}


def test_the_shipped_gateway_files_are_good() -> None:
    files = sorted((profiles_folder().parent / "gateways").glob("*.yaml"))
    assert files
    for file in files:
        load(file)


@pytest.mark.parametrize(("part", "broken", "key", "allowed"), FAULTS, ids=[f[2] for f in FAULTS])
def test_each_fault_is_named_and_the_program_exits_2(
    part: str,
    broken: str,
    key: str,
    allowed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert part in GOOD
    path = written(tmp_path, GOOD.replace(part, broken, 1))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert all(fault.startswith(f"{path}: ") for fault in caught.value.faults)
    assert any(key in fault and allowed in fault for fault in caught.value.faults), caught.value

    monkeypatch.setattr(sys, "argv", ["hutong-edge", "check", "--config", str(path)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert key in capsys.readouterr().err


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    broken = GOOD.replace("bus: rtu-1", "bus: rtu-9").replace("[energy_import]", "[energy]")
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, broken))
    assert len(caught.value.faults) == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("variable", "value"), [("HUTONG_LOG_FORMAT", "xml"), ("HUTONG_MQTT_URL", "http://me:secret@h")]
)
def test_a_wrong_setting_is_named_and_exits_2(
    variable: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = written(tmp_path, GOOD)
    monkeypatch.setenv("HUTONG_DATA_DIR", str(tmp_path))
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "argv", ["hutong-edge", "run", "--config", str(path)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert variable in told
    assert "secret" not in told


def test_a_damaged_journal_is_named_and_exits_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, GOOD)
    (tmp_path / "gw-1.journal").write_bytes(b"no journal " * 1000)
    monkeypatch.setenv("HUTONG_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["hutong-edge", "journal", "status", "--config", str(path)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    assert "gw-1.journal: not usable as a journal" in capsys.readouterr().err
