"""Every misbehaviour that the simulated site knows, as a table: where, how much, what happens."""

from dataclasses import dataclass
from typing import Literal

from protocols.modbus.plan import MAX_REGISTERS
from protocols.modbus.registers import WordOrder

Place = Literal["device on TCP", "device on a serial line", "TCP bus", "serial bus"]
BAUDS = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
LINE_PATTERN = rf"({'|'.join(map(str, BAUDS))})([NEO])([12])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """What may stand behind the colon: a whole number (decimal or 0x), or text of a pattern."""

    label: str
    allowed: str
    least: int = 0
    most: int = 0
    default: int | None = None
    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One misbehaviour; `lasting` ones cannot begin or end while the site runs.

    `words` ones change what a meter says and so show without any wire, the others how it is sent.
    """

    name: str
    places: frozenset[Place]
    happens: str
    amount: Amount | None = None
    lasting: bool = False
    words: bool = False

    @property
    def usage(self) -> str:
        """The kind as it is typed, its amount in brackets if it has a default."""
        if self.amount is None:
            return self.name
        if self.amount.default is None:
            return f"{self.name}:{self.amount.label}"
        return f"{self.name}[:{self.amount.label}]"


def fault_table() -> str:
    """The table of kinds for people, one a line: kind, default, where, what happens."""
    rows = [("kind", "default", "where", "what happens")]
    for kind in KINDS.values():
        default = "" if kind.amount is None else kind.amount.default
        where = _WHERE.get(kind.places, ", ".join(sorted(kind.places)))
        rows.append((kind.usage, "" if default is None else str(default), where, kind.happens))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )


_DEVICE: frozenset[Place] = frozenset({"device on TCP", "device on a serial line"})
_SERIAL: frozenset[Place] = frozenset({"device on a serial line"})
_TCP: frozenset[Place] = frozenset({"device on TCP"})
_SERIAL_BUS: frozenset[Place] = frozenset({"serial bus"})
_WHERE = {_DEVICE: "device", _DEVICE | {"TCP bus", "serial bus"}: "device, bus"}


def _ms(default: int) -> Amount:
    allowed = "whole milliseconds 1..600000"
    return Amount(label="MS", allowed=allowed, least=1, most=600_000, default=default)


def _registers(label: str, most: int, *, least: int = 0, default: int | None = None) -> Amount:
    allowed = f"a whole number {least}..{most}"
    return Amount(label=label, allowed=allowed, least=least, most=most, default=default)


def _words(
    name: str,
    happens: str,
    *,
    amount: Amount | None = None,
    places: frozenset[Place] = _DEVICE,
    lasting: bool = False,
) -> FaultKind:
    return FaultKind(
        name=name, places=places, happens=happens, amount=amount, words=True, lasting=lasting
    )


def _wire(
    name: str, happens: str, *, amount: Amount | None = None, places: frozenset[Place] = _DEVICE
) -> FaultKind:
    return FaultKind(name=name, places=places, happens=happens, amount=amount)


_ORDER = Amount(
    label="ORDER", allowed=f"ORDER of {', '.join(WordOrder)}", pattern="|".join(WordOrder)
)
_VARIANT = Amount(label="NAME", allowed="NAME of a variant of its profile", pattern=r".+")
_LINE = Amount(
    label="BAUDPARITYSTOP",
    allowed=f"a baud of {', '.join(map(str, BAUDS))}, N, E or O, and 1 or 2, like line:19200E1",
    pattern=LINE_PATTERN,
)
_LARGEST_WORD = 0xFFFF

KINDS = {
    kind.name: kind
    for kind in (
        _words("offline", "a gateway answers for it with exception 11, a serial line is silent"),
        _words("silent", "it says nothing at all"),
        _words("stuck", "its registers stay as they were when the fault began"),
        _words("zero-once", "for exactly one poll every register is 0"),
        _words(
            "step-back",
            "for one poll the billing points read N steps of their resolution less",
            amount=_registers("N", 1_000_000, least=1, default=1),
        ),
        _words("not-available", "every point answers its first sentinel, else NaN or all bits one"),
        _words(
            "zeros",
            "every register, known or not, is 0; on a bus so answers every unit id without a meter",
            places=_DEVICE | {"TCP bus", "serial bus"},
        ),
        _words("odd-refused", "a read of odd start or count is refused with exception 2"),
        _words("odd-shifted", "a read of odd start or count gets the registers one further"),
        _words("no-holes", "a block with a register that is no point's gets exception 2"),
        _words(
            "span",
            "a block of more than N registers gets exception 3",
            amount=_registers("N", MAX_REGISTERS, least=1),
        ),
        _words(
            "span-silent",
            "a block of more than N registers gets no answer",
            amount=_registers("N", MAX_REGISTERS, least=1),
        ),
        _words(
            "alone",
            "the point at ADDRESS answers only a request for exactly its registers",
            amount=_registers("ADDRESS", _LARGEST_WORD),
        ),
        _words(
            "word-order",
            "points that follow the profile's own order answer in ORDER",
            amount=_ORDER,
        ),
        _words("variant", "it is that variant of its profile", amount=_VARIANT, lasting=True),
        _words(
            "ratio",
            "the registers of its transformer ratios read N",
            amount=_registers("N", _LARGEST_WORD),
        ),
        _words(
            "setting",
            "the registers of its watched settings read N",
            amount=_registers("N", _LARGEST_WORD),
        ),
        _words("differing", "every second read of a billing point differs in a few low bits"),
        _words("garbage", "every third poll shows absurd values, 1e5..3.6e8 where they fit"),
        _words(
            "writable", "functions 5, 6, 15 and 16 are accepted and clear its billing registers"
        ),
        _wire(
            "late", "one reply comes MS ms after its request, the others in time", amount=_ms(1500)
        ),
        _wire("slow", "every reply takes MS ms", amount=_ms(500)),
        _wire("quick", "it answers without any turnaround", places=_SERIAL),
        _wire("pause", "a request within MS ms of its last reply is not heard", amount=_ms(100)),
        _wire(
            "reboots", "three requests less than MS ms apart make it mute for 3 s", amount=_ms(500)
        ),
        _wire("stray-byte", "a 00 byte stands before each reply", places=_SERIAL),
        _wire("wrong-transaction", "replies carry another transaction id", places=_TCP),
        _wire("no-transaction", "replies carry transaction id 0", places=_TCP),
        _wire("wrong-unit", "replies carry its unit id plus 1"),
        _wire(
            "duplicate", "a second meter answers at the same time, both frames mix", places=_SERIAL
        ),
        _wire("spoiled", "checksums are wrong; on TCP a byte of the data is missing"),
        _wire(
            "drift",
            "its baud rate is 2 % off: bits flip late in frames longer than 9 bytes",
            places=_SERIAL,
        ),
        _wire(
            "foreign-master",
            "another master asks unit 200 every 300 ms and gets its answer",
            places=_SERIAL_BUS,
        ),
        _wire(
            "rtu-framing",
            "the server speaks RTU frames over TCP instead of MBAP",
            places=frozenset({"TCP bus"}),
        ),
        _wire(
            "line",
            "the meters of the bus are set to another line",
            amount=_LINE,
            places=_SERIAL_BUS,
        ),
    )
}
