"""The registry of backends: what fits where, and what is told when a library is missing."""

import pytest

from protocols.errors import ConfigError
from protocols.io import backends
from protocols.io.minimalmodbus_link import MinimalmodbusLink
from protocols.io.modbus_rtu import ModbusRtuLink
from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.io.pymodbus_link import PymodbusLink
from protocols.modbus.wire import Wire

TCP = {"native": ModbusTcpLink, "pymodbus": PymodbusLink}
RTU = {"native": ModbusRtuLink, "pymodbus": PymodbusLink, "minimalmodbus": MinimalmodbusLink}


def test_each_backend_gives_its_link() -> None:
    for name, backend in backends.BACKENDS.items():
        assert backend.capabilities.tcp == (name in TCP)
        assert backend.capabilities.rtu == (name in RTU)
    for name, kind in TCP.items():
        assert isinstance(backends.open_tcp(name, "127.0.0.1", 1, timeout_s=1), kind)
    for name, kind in RTU.items():
        assert isinstance(backends.open_rtu(name, "/dev/null", Wire(), timeout_s=1), kind)


@pytest.mark.parametrize("name", ["minimalmodbus", "modbus", ""])
def test_a_backend_that_does_not_fit(name: str) -> None:
    with pytest.raises(ConfigError, match=r"allowed on modbus-tcp are native, pymodbus$"):
        backends.open_tcp(name, "127.0.0.1", 1, timeout_s=1)


@pytest.mark.parametrize("name", ["pymodbus", "minimalmodbus"])
def test_a_missing_library_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=rf"{name}.*install hutong\[backends\]"):
        backends.open_rtu(name, "/dev/null", Wire(), timeout_s=1)
    assert backends.fault("native", "modbus-rtu") is None


def test_only_reads_are_asked() -> None:
    with pytest.raises(ValueError, match="allowed are"):
        backends.read_request(1, 8, 0, 1)
