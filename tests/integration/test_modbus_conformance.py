"""One suite of behaviours for every backend of the Modbus link, and the failures known of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocols.errors import ProtocolError
from protocols.io import backends
from protocols.io.fake import FakeLink
from protocols.io.modbus_rtu_tcp import ModbusRtuTcpLink
from protocols.modbus.wire import Wire
from tests.fixtures.modbus_behaviours import (
    IN_FRAMES,
    ON_NATIVE_RTU,
    ON_RTU,
    ON_RTU_OVER_TCP,
    ON_TCP,
    SLOW,
    Check,
    byte_count_too_large,
    byte_count_too_small,
    bytes_after_the_words,
    echo,
    foreign_frame_before,
    garbage_for_an_answer,
    late_answer_with_the_next,
    lost_is_told_at_once,
    lost_while_idle,
    refusal_5_acknowledge,
    refusal_at_once,
    refusal_of_another_function,
    silence_before_each_request,
    spoiled_checksum,
    stray_byte_before,
    wrong_transaction,
    wrong_unit,
)
from tests.fixtures.modbus_peers import (
    FakePeer,
    PtyPeer,
    Stand,
    TcpPeer,
)

TIMEOUT_S = 0.12
FAST = Wire(baud=115200)


@dataclass(frozen=True)
class Known:
    """A behaviour that a backend fails: how the failure shows, why, and the flag that says so."""

    shows: str
    reason: str
    flag: str = ""


SUITES = {
    "native tcp": ON_TCP,
    "native rtu": ON_NATIVE_RTU,
    "native rtu-over-tcp": ON_RTU_OVER_TCP,
    "pymodbus tcp": ON_TCP,
    "pymodbus rtu": ON_RTU,
    "minimalmodbus rtu": ON_RTU,
    "fake": IN_FRAMES,
}
# pymodbus skips what it doesn't like and waits on, so that nonsense looks like silence.
_SKIPPED = Known("LinkError: .* did not answer in time", "is skipped, waits on", "tells_nonsense")
_HUNTS = Known("did not answer in time", "loses what comes with strays", "finds_frames")
_AT_TIMEOUT = Known("waited for the timeout", "an open request isn't told", "fails_at_once")
_FIXED_SIZE = Known("Checksum error", "reads the expected size from the first byte", "finds_frames")
KNOWN: dict[tuple[str, Check], Known] = {
    ("pymodbus tcp", wrong_unit): _SKIPPED,
    ("pymodbus tcp", wrong_transaction): _SKIPPED,
    ("pymodbus tcp", byte_count_too_large): _SKIPPED,
    ("pymodbus tcp", garbage_for_an_answer): _SKIPPED,
    ("pymodbus tcp", bytes_after_the_words): Known(
        r"accepted \(1482, 1489, 1496, 1503\)",
        "takes the words that the byte count names, whatever the frame's length",
        "checks_length",
    ),
    ("pymodbus tcp", lost_is_told_at_once): _AT_TIMEOUT,
    ("pymodbus rtu", wrong_unit): _SKIPPED,
    ("pymodbus rtu", byte_count_too_small): _SKIPPED,
    ("pymodbus rtu", byte_count_too_large): _SKIPPED,
    ("pymodbus rtu", bytes_after_the_words): _SKIPPED,
    ("pymodbus rtu", echo): _SKIPPED,
    ("pymodbus rtu", garbage_for_an_answer): _SKIPPED,
    ("pymodbus rtu", spoiled_checksum): _SKIPPED,
    ("pymodbus rtu", stray_byte_before): _HUNTS,
    ("pymodbus rtu", foreign_frame_before): _HUNTS,
    ("pymodbus rtu", lost_is_told_at_once): _AT_TIMEOUT,
    ("pymodbus rtu", silence_before_each_request): Known(
        "no silence", "sends at once, without t3.5", "keeps_silence"
    ),
    ("minimalmodbus rtu", refusal_5_acknowledge): Known(
        "Wrong functioncode: 131", "takes code 5 for no error, then for a wrong function"
    ),
    ("minimalmodbus rtu", refusal_at_once): Known(
        "waited for the timeout", "waits for as many bytes as words would need", "fails_at_once"
    ),
    ("minimalmodbus rtu", refusal_of_another_function): Known(
        "DeviceError: .*exception 02",
        "looks at the error bit first",
        "checks_function",
    ),
    ("minimalmodbus rtu", lost_while_idle): Known(
        "Input/output error", "doesn't listen between requests, so the next one fails"
    ),
    ("minimalmodbus rtu", stray_byte_before): _FIXED_SIZE,
    ("minimalmodbus rtu", foreign_frame_before): _FIXED_SIZE,
}
_TAKES_LATE = Known("took a late answer for the next", "answers carry no address", "tells_late")
KNOWN |= {
    ("pymodbus rtu", late_answer_with_the_next): _TAKES_LATE,
    ("minimalmodbus rtu", late_answer_with_the_next): _TAKES_LATE,
}
CASES = [(name, check) for name, suite in SUITES.items() for check in suite]


@pytest.fixture
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    name, check = request.param
    made = stand_of(name, tmp_path, SLOW if check is silence_before_each_request else FAST)
    await made.peer.start()
    yield made
    await made.link.close()
    await made.peer.close()


@pytest.mark.parametrize(
    ("stand", "case"),
    [(case, case) for case in CASES],
    indirect=["stand"],
    ids=[f"{name}: {check.__name__}" for name, check in CASES],
)
async def test_conformance(stand: Stand, case: tuple[str, Check]) -> None:
    _, check = case
    known = KNOWN.get(case)
    if known is None:
        await check(stand)
        return
    # Strict: a backend that has learnt it must be taken from the table.
    with pytest.raises((AssertionError, ProtocolError, pytest.fail.Exception), match=known.shows):
        await check(stand)


def test_native_and_fake_have_no_known_failures() -> None:
    assert {name.split()[0] for name, _ in KNOWN} == {"pymodbus", "minimalmodbus"}


def test_flags_say_what_the_suite_shows() -> None:
    flags = {
        "checks_function",
        "checks_length",
        "keeps_silence",
        "finds_frames",
        "fails_at_once",
        "tells_nonsense",
        "tells_late",
    }
    for name, backend in backends.BACKENDS.items():
        shown = {known.flag for (stand, _), known in KNOWN.items() if stand.split()[0] == name}
        missing = {flag for flag in flags if not getattr(backend.capabilities, flag)}
        assert shown - {""} == missing


def stand_of(name: str, folder: Path, wire: Wire) -> Stand:
    timeout_s = TIMEOUT_S if wire is FAST else 1.0
    if name == "fake":
        fake = FakeLink(timeout_s=timeout_s)
        return Stand(fake, FakePeer(fake), timeout_s)
    backend, kind = name.split()
    if kind == "tcp":
        peer = TcpPeer()
        return Stand(_Later(backend, peer), peer, timeout_s)
    if kind == "rtu-over-tcp":
        peer = TcpPeer("rtu")
        return Stand(_Later(backend, peer), peer, timeout_s)
    line = PtyPeer(folder / "line")
    link = backends.open_rtu(backend, str(line.path), wire, timeout_s=timeout_s)
    return Stand(link, line, timeout_s)


class _Later:
    """A TCP link that is made when the port of its peer is known."""

    def __init__(self, backend: str, peer: TcpPeer) -> None:
        self._backend = backend
        self._peer = peer
        self._link: backends.ModbusLink | None = None

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        if self._link is None:
            place = ("127.0.0.1", self._peer.port)
            if self._peer.framing == "rtu":
                self._link = ModbusRtuTcpLink(*place, timeout_s=TIMEOUT_S)
            else:
                self._link = backends.open_tcp(self._backend, *place, timeout_s=TIMEOUT_S)
        return await self._link.transact(unit_id, function, address, count, patience_s=patience_s)

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()
