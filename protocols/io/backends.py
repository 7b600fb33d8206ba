"""Which libraries may stand behind the Modbus link, what each can do, and how to open it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType

from protocols.errors import ConfigError
from protocols.io.link import ModbusLink
from protocols.io.modbus_rtu import ModbusRtuLink
from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.modbus.frames import Request, request_pdu
from protocols.modbus.wire import Wire

NATIVE = "native"
_READS = frozenset({1, 2, 3, 4})


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend's links do; each False is a failure that the conformance suite shows.

    `checks_*`: an answer is refused whose function, length or transaction id is not the asked one.
    `keeps_silence`: t3.5 stands on a serial wire before each request. `finds_frames`: stray bytes
    and other units' frames before an answer are passed over. `fails_at_once`: a refusal or a lost
    connection is told when it happens, not when the timeout is over. `tells_nonsense`: a wrong
    answer is a WireError at once, not silence. `tells_late`: on a serial line an answer that comes
    after its timeout, however late, is not taken for the next one's.
    """

    tcp: bool
    rtu: bool
    functions: frozenset[int] = _READS
    checks_function: bool
    checks_length: bool
    checks_transaction: bool
    keeps_silence: bool
    finds_frames: bool
    fails_at_once: bool
    tells_nonsense: bool
    tells_late: bool


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend; `library` is what must be installed for it and `module` what adapts it."""

    capabilities: Capabilities
    library: str = ""
    module: str = ""


def open_tcp(
    backend: str, host: str, port: int, *, timeout_s: float, any_transaction: bool = False
) -> ModbusLink:
    """A link to a TCP endpoint, opened when first used; ConfigError if the backend can't."""
    chosen = _usable(backend, "modbus-tcp")
    if not chosen.module:
        return ModbusTcpLink(host, port, timeout_s=timeout_s, any_transaction=any_transaction)
    link: ModbusLink = import_module(chosen.module).open_tcp(host, port, timeout_s=timeout_s)
    return link


def open_rtu(backend: str, path: str, wire: Wire, *, timeout_s: float) -> ModbusLink:
    """A link over a serial device, opened when first used; ConfigError if the backend can't."""
    chosen = _usable(backend, "modbus-rtu")
    if not chosen.module:
        return ModbusRtuLink(path, wire, timeout_s=timeout_s)
    link: ModbusLink = import_module(chosen.module).open_rtu(path, wire, timeout_s=timeout_s)
    return link


def read_request(unit_id: int, function: int, address: int, count: int) -> Request:
    """The request of one read; ValueError where the standard allows none such."""
    request = Request(unit_id, function, address, count)
    request_pdu(request)
    if function not in _READS:
        message = f"function {function}: allowed are {sorted(_READS)}"
        raise ValueError(message)
    return request


def fault(backend: str, kind: str) -> str | None:
    """Why a backend can't serve buses of a kind here (`value: what is allowed`), None if it can."""
    able = [name for name, other in BACKENDS.items() if _serves(other, kind)]
    chosen = BACKENDS.get(backend)
    if chosen is None or backend not in able:
        return f"{backend!r}: allowed on {kind} are {', '.join(able)}"
    if chosen.library and find_spec(chosen.library) is None:
        return f"{backend!r}: is not installed, install hutong[backends] or use {NATIVE}"
    return None


def _usable(backend: str, kind: str) -> Backend:
    reason = fault(backend, kind)
    if reason is not None:
        message = f"backend: {reason}"
        raise ConfigError(message)
    return BACKENDS[backend]


def _serves(backend: Backend, kind: str) -> bool:
    return backend.capabilities.tcp if kind == "modbus-tcp" else backend.capabilities.rtu


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        NATIVE: Backend(
            Capabilities(
                tcp=True,
                rtu=True,
                checks_function=True,
                checks_length=True,
                checks_transaction=True,
                keeps_silence=True,
                finds_frames=True,
                fails_at_once=True,
                tells_nonsense=True,
                tells_late=True,
            )
        ),
        "pymodbus": Backend(
            Capabilities(
                tcp=True,
                rtu=True,
                checks_function=True,
                checks_length=False,
                checks_transaction=True,
                keeps_silence=False,
                finds_frames=False,
                fails_at_once=False,
                tells_nonsense=False,
                tells_late=False,
            ),
            "pymodbus",
            "protocols.io.pymodbus_link",
        ),
        "minimalmodbus": Backend(
            Capabilities(
                tcp=False,
                rtu=True,
                checks_function=False,
                checks_length=True,
                checks_transaction=False,
                keeps_silence=True,
                finds_frames=False,
                fails_at_once=False,
                tells_nonsense=True,
                tells_late=False,
            ),
            "minimalmodbus",
            "protocols.io.minimalmodbus_link",
        ),
    }
)
