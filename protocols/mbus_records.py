"""Data records of M-Bus variable data (EN 13757-3): what the DIF and VIF bytes mean."""

import math
import struct
from dataclasses import dataclass
from decimal import Decimal

from protocols.errors import WireError

FUNCTIONS = ("instantaneous", "maximum", "minimum", "at error")


@dataclass(frozen=True, slots=True)
class Record:
    """One value as decimal text (None if missing or not decoded); `note` says what is unknown."""

    dib: str
    vib: str
    quantity: str
    value: str | None
    uom: str | None
    function: str = FUNCTIONS[0]
    storage: int = 0
    tariff: int = 0
    subunit: int = 0
    raw: str = ""
    note: str = ""


def parse_records(data: bytes) -> tuple[tuple[Record, ...], str]:
    """The records and a note on what ends them; WireError where a record is cut off."""
    records: list[Record] = []
    place = 0
    while place < len(data):
        dif = data[place]
        if dif == _FILLER:
            place += 1
            continue
        if dif in _SPECIAL:
            rest = len(data) - place - 1
            return tuple(records), f"; {_SPECIAL[dif]}, {rest} bytes not decoded"
        record, place = _record(data, place)
        records.append(record)
    return tuple(records), ""


def _record(data: bytes, place: int) -> tuple[Record, int]:
    start = place
    dif = data[place]
    kind = dif & 0x0F
    storage = dif >> 6 & 1
    tariff = subunit = 0
    place = _chain_end(data, place, "DIF")
    for number, dife in enumerate(data[start + 1 : place]):
        storage |= (dife & 0x0F) << (1 + 4 * number)
        tariff |= (dife >> 4 & 3) << (2 * number)
        subunit |= (dife >> 6 & 1) << number
    dib = data[start:place]
    if place >= len(data):
        message = f"record {dib.hex(' ')} has no VIF"
        raise WireError(message)
    end = _chain_end(data, place, "VIF")
    vib = data[place:end]
    place = end
    text = ""
    if vib[0] & 0x7F == _PLAIN_TEXT:
        length = data[place] if place < len(data) else 0
        text = data[place + 1 : place + 1 + length][::-1].decode("ascii", "backslashreplace")
        place += 1 + length
    size, skip = _size(data, place, kind)
    place += skip
    if kind == _RESERVED or place + size > len(data):
        message = f"record {dib.hex(' ')} {vib.hex(' ')} is cut off or of a reserved kind"
        raise WireError(message)
    raw = data[place : place + size]
    quantity, uom, power, note = _meaning(vib, text)
    value = None
    if uom is not None:
        value = _number(raw, kind, power)
        note = note or ("" if value is not None else "missing or no number")
    elif quantity in _NUMBERS:
        value = raw[::-1].hex() if kind in _BCD else _number(raw, kind, 0)
    record = Record(
        dib.hex(" "),
        vib.hex(" "),
        quantity,
        value,
        uom,
        FUNCTIONS[dif >> 4 & 3],
        storage,
        tariff,
        subunit,
        raw.hex(" "),
        note,
    )
    return record, place + size


def _chain_end(data: bytes, place: int, name: str) -> int:
    """The place behind a byte and its extensions."""
    end = place + 1
    while data[end - 1] & 0x80:
        if end >= len(data) or end - place > _MOST_EXTENSIONS:
            message = f"{name} {data[place:end].hex(' ')} never ends"
            raise WireError(message)
        end += 1
    return end


def _size(data: bytes, place: int, kind: int) -> tuple[int, int]:
    """Bytes of the value and of the length before it."""
    if kind != _VARIABLE:
        return _SIZES[kind], 0
    if place >= len(data):
        raise WireError("a record of variable length has no length")
    length = data[place]
    if length < _TEXT_END:
        return length, 1
    # LVAR C0..C9 and D0..D9 are BCD of 2 digits a byte, E0..EF a number, F0..FA a real.
    return (length & 0x0F), 1


def _number(raw: bytes, kind: int, power: int) -> str | None:
    if kind in _INTEGER:
        number = Decimal(int.from_bytes(raw, "little", signed=True))
    elif kind in _BCD:
        text = raw[::-1].hex()
        negative = text[0] == "f" and text[1:].isdecimal()
        text = text[1:] if negative else text
        if not text.isdecimal():
            return None
        number = Decimal(-int(text) if negative else int(text))
    elif kind == _REAL:
        real = struct.unpack("<f", raw)[0]
        if not math.isfinite(real):
            return None
        number = Decimal(real)
    else:
        return None
    return f"{number.scaleb(power):f}"


def _meaning(vib: bytes, text: str) -> tuple[str, str | None, int, str]:
    """Quantity, uom (None: not decoded), power of ten and a note on what is unknown."""
    first, rest = vib[0], vib[1:]
    table, code, where = _PRIMARY, first & 0x7F, "vif"
    if first in _EXTENDED:
        table, code, where = _EXTENDED[first], rest[0] & 0x7F, f"vif {first:02x}"
        rest = rest[1:]
    elif code == _PLAIN_TEXT:
        return f"text {text!r}", None, 0, "unit in plain text"
    if where == "vif" and code in _NAMED:
        return _NAMED[code], None, 0, ""
    entry = next((row for row in table if row[0] <= code <= row[1]), None)
    if entry is None:
        return "unknown", None, 0, f"{where} {code:02x} is not known"
    low, _, quantity, uom, base = entry
    power = base + code - low
    for vife in rest:
        change = _CHANGES.get(vife & 0x7F)
        if change is None:
            # An unknown extension may change the unit: the value is not guessed.
            return quantity, None, 0, f"vife {vife & 0x7F:02x} is not known"
        name, shift = change
        power += shift
        quantity += name
    return quantity, uom, power, ""


_Rows = tuple[tuple[int, int, str, str, int], ...]
# First and last VIF, quantity, uom, power of ten of the first (EN 13757-3, table of primary VIFs).
_PRIMARY: _Rows = (
    (0x00, 0x07, "energy", "Wh", -3),
    (0x08, 0x0F, "energy", "J", 0),
    (0x10, 0x17, "volume", "m3", -6),
    (0x18, 0x1F, "mass", "kg", -3),
    (0x28, 0x2F, "power", "W", -3),
    (0x30, 0x37, "power", "J/h", 0),
    (0x38, 0x3F, "flow", "m3/h", -6),
    (0x40, 0x47, "flow", "m3/min", -7),
    (0x48, 0x4F, "flow", "m3/s", -9),
    (0x50, 0x57, "mass_flow", "kg/h", -3),
    (0x58, 0x5B, "flow_temperature", "Cel", -3),
    (0x5C, 0x5F, "return_temperature", "Cel", -3),
    (0x60, 0x63, "temperature_difference", "K", -3),
    (0x64, 0x67, "external_temperature", "Cel", -3),
    (0x68, 0x6B, "pressure", "bar", -3),
    *((0x20 + n, 0x20 + n, "on_time", uom, 0) for n, uom in enumerate(("s", "min", "h", "d"))),
    *((0x24 + n, 0x24 + n, "operating_time", u, 0) for n, u in enumerate(("s", "min", "h", "d"))),
    (0x6E, 0x6E, "heat_cost_allocation", "1", 0),
)
_EXTENDED: dict[int, _Rows] = {
    0xFB: (
        (0x00, 0x01, "energy", "MWh", -1),
        (0x08, 0x09, "energy", "GJ", -1),
        (0x10, 0x11, "volume", "m3", 2),
        (0x18, 0x19, "mass", "t", 2),
        (0x28, 0x29, "power", "MW", -1),
        (0x30, 0x31, "power", "GJ/h", -1),
    ),
    0xFD: ((0x40, 0x4F, "voltage", "V", -9), (0x50, 0x5F, "current", "A", -12)),
}
_NAMED = {
    0x6C: "date",
    0x6D: "date and time",
    0x78: "fabrication_number",
    0x79: "identification",
    0x7A: "bus_address",
    0x7F: "maker's own",
}
_NUMBERS = ("fabrication_number", "identification", "bus_address")
# Extensions that leave the unit: a factor 10^(n-6), 1000, and the direction of what is counted.
_CHANGES = {
    **{0x70 + n: ("", n - 6) for n in range(8)},
    0x7D: ("", 3),
    0x3B: ("_forward", 0),
    0x3C: ("_backward", 0),
}
_SPECIAL = {
    0x0F: "the maker's own data follow",
    0x1F: "the maker's own data follow, more records in the next frame",
    **{code: f"DIF {code:02x} is reserved" for code in (0x3F, 0x4F, 0x5F, 0x6F)},
    0x7F: "a readout of all is asked for",
}
_FILLER = 0x2F
_PLAIN_TEXT = 0x7C
_MOST_EXTENSIONS = 10
_SIZES = (0, 1, 2, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4, 0, 6, 0)
_INTEGER = (1, 2, 3, 4, 6, 7)
_BCD = (9, 10, 11, 12, 14)
_REAL = 5
_VARIABLE, _RESERVED = 13, 15
_TEXT_END = 0xC0
