"""The backend of a bus: chosen in the gateway file, refused where it does not fit."""

from pathlib import Path

import pytest

from edge.bootstrap import link_to
from edge.config import load
from protocols.errors import ConfigError
from protocols.io import backends
from protocols.io.minimalmodbus_link import MinimalmodbusLink
from protocols.io.modbus_rtu import ModbusRtuLink
from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.io.pymodbus_link import PymodbusLink

TCP = "{id: b, kind: modbus-tcp, host: 127.0.0.1, port: 15020%s}"
RTU = "{id: b, kind: modbus-rtu, port: /dev/ttyUSB0%s}"


def written(folder: Path, bus: str, backend: str) -> Path:
    path = folder / "gateway.yaml"
    chosen = f", backend: {backend}" if backend else ""
    device = "{id: e-1, bus: b, unit_id: 1, profile: eastron-sdm120, points: [energy_import]}"
    path.write_text(
        f"gateway: gw-1\nbuses:\n  - {bus % chosen}\ndevices:\n  - {device}\n", encoding="utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("bus", "backend", "kind"),
    [
        (TCP, "", ModbusTcpLink),
        (TCP, "pymodbus", PymodbusLink),
        (RTU, "", ModbusRtuLink),
        (RTU, "native", ModbusRtuLink),
        (RTU, "pymodbus", PymodbusLink),
        (RTU, "minimalmodbus", MinimalmodbusLink),
    ],
)
def test_the_link_is_the_chosen_backends(
    tmp_path: Path, bus: str, backend: str, kind: type
) -> None:
    config = load(written(tmp_path, bus, backend))
    assert isinstance(link_to(config.buses[0]), kind)


@pytest.mark.parametrize(
    ("bus", "backend", "allowed"),
    [
        (TCP, "minimalmodbus", "modbus-tcp are native, pymodbus"),
        (RTU, "libmodbus", "modbus-rtu are native, pymodbus, minimalmodbus"),
    ],
)
def test_a_backend_that_does_not_fit_is_a_fault(
    tmp_path: Path, bus: str, backend: str, allowed: str
) -> None:
    path = written(tmp_path, bus, backend)
    with pytest.raises(ConfigError) as caught:
        load(path)
    fault = f"{path}: buses.0.backend: '{backend}': allowed on {allowed}"
    assert caught.value.faults == (fault,)


def test_a_missing_library_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"buses\.0\.backend: .*install hutong\[backends\]"):
        load(written(tmp_path, TCP, "pymodbus"))
