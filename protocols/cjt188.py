"""CJ/T 188-2004, the protocol of Chinese water, heat and gas meters: frames and what they say."""

from dataclasses import dataclass

from protocols.bcd import bcd_text, digits_text
from protocols.errors import WireError
from protocols.summed import END, WAKEUP, Language, Span, find_span, judge_frames
from protocols.verdict import REQUEST, RESPONSE, Field, Kind, Verdict

START = 0x68
READ, WRITE, READ_ADDRESS = 0x01, 0x04, 0x03
ANSWER, REFUSED = 0x80, 0x40
READ_NOW = "901f"
WILDCARD = "aa" * 7
CONTROLS = {0x01: "read", 0x03: "read address", 0x04: "write", 0x09: "read key version"}
METER_TYPES = {
    0x10: "cold water",
    0x11: "hot water",
    0x12: "drinking water",
    0x13: "grey water",
    0x20: "heat",
    0x21: "cooling",
    0x30: "gas",
    0x40: "electric",
}
# Code: uom and the power of ten that its number is multiplied with.
UNITS = {
    0x01: ("J", 0),
    0x02: ("Wh", 0),
    0x05: ("kWh", 0),
    0x08: ("MWh", 0),
    0x0A: ("MWh", 2),
    0x0B: ("kJ", 0),
    0x0E: ("MJ", 0),
    0x11: ("GJ", 0),
    0x13: ("GJ", 2),
    0x14: ("W", 0),
    0x17: ("kW", 0),
    0x1A: ("MW", 0),
    0x29: ("L", 0),
    0x2C: ("m3", 0),
    0x32: ("L/h", 0),
    0x35: ("m3/h", 0),
}
VALVES = ("open", "closed", "undefined", "faulty")


@dataclass(frozen=True, slots=True)
class Frame:
    """Meter type, address as 14 digits (highest first), control code, data as on the wire."""

    meter_type: int
    address: str
    control: int
    data: bytes = b""


def encode(frame: Frame, *, wakeup: int = 0) -> bytes:
    """The frame's bytes behind `wakeup` times FE; ValueError if it cannot be sent."""
    address = bytes.fromhex(frame.address)[::-1]
    if len(address) != _ADDRESS or len(frame.data) > _MOST_DATA:
        message = f"address {frame.address!r}, {len(frame.data)} bytes: allowed are 14 digits, 255"
        raise ValueError(message)
    body = bytes((START, frame.meter_type, *address, frame.control, len(frame.data))) + frame.data
    return bytes((WAKEUP,)) * wakeup + body + bytes((sum(body) & 0xFF, END))


def read_frame(meter_type: int, address: str, *, low_first: bool = True, serial: int = 0) -> Frame:
    """The question for the totals; `low_first` sends the identifier as 1F 90, else as 90 1F."""
    di = bytes.fromhex(READ_NOW)
    return Frame(meter_type, address, READ, (di[::-1] if low_first else di) + bytes((serial,)))


def find_frame(buffer: bytes | bytearray) -> tuple[Frame, Span] | None:
    """The first whole frame with a right checksum and where it lies, None if there is none yet."""
    span = find_span(buffer, _length_at)
    return None if span is None else (_frame_of(bytes(buffer[span.start : span.end])), span)


def judge(buffer: bytes, *, kind: Kind | None = None, request: bytes | None = None) -> Verdict:
    """The verdict on a frame with anything around it; `request` is the frame it must answer."""
    language = Language(_frame_of, _match, explain)
    return judge_frames(buffer, _length_at, language, kind=kind, request=request)


def explain(frame: Frame) -> Verdict:
    """The verdict on one right frame; WireError if its data are nonsense."""
    answer = bool(frame.control & ANSWER)
    function = frame.control & 0x3F
    name = CONTROLS.get(function, f"control {frame.control:02x}, which the standard does not name")
    fields: dict[str, Field] = {
        "address": frame.address,
        "di": None,
        "value": None,
        "uom": None,
        "kind": RESPONSE if answer else REQUEST,
        "control": f"{frame.control:02x}",
        "meter_type": f"{frame.meter_type:02x}",
        "medium": METER_TYPES.get(frame.meter_type),
    }
    if answer and frame.control & REFUSED:
        # Data: serial number, then two status bytes; makers also send less.
        fields["data"] = frame.data.hex(" ")
        code = frame.data[1] if len(frame.data) > 1 else None
        return Verdict("exception", f"response: {name} refused", exception=code, fields=fields)
    reason = f"{fields['kind']}: {name}"
    if len(frame.data) < _DI + 1:
        if function != READ_ADDRESS:
            message = f"{len(frame.data)} bytes of data: identifier and serial have {_DI + 1}"
            raise WireError(message)
        return Verdict("accept", reason, fields=fields)
    di, low_first = _di(frame)
    fields |= {"di": di, "di_order": "low first" if low_first else "high first"}
    fields["serial"] = frame.data[_DI]
    body = frame.data[_DI + 1 :]
    if not answer or function != READ or di != READ_NOW:
        if body:
            fields["data"] = body.hex(" ")
        return Verdict("accept", reason, fields=fields)
    layout = _HEAT if frame.meter_type >> 4 == _HEAT_TYPES else _FLOW
    if len(body) != sum(size for _, size, _, _ in layout):
        message = (
            f"{len(body)} bytes of totals of meter type {frame.meter_type:02x}, must be "
            + str(sum(size for _, size, _, _ in layout))
        )
        raise WireError(message)
    return Verdict("accept", reason + _totals(body, layout, fields), fields=fields)


def _totals(body: bytes, layout: "_Layout", fields: dict[str, Field]) -> str:
    place = 0
    note = ""
    rows: list[dict[str, str | None]] = []
    for name, size, places, uom in layout:
        data = body[place : place + size]
        place += size
        if name == "read_at":
            # seconds first; a meter without a clock fills it with FF or 00
            fields["clock"] = None if set(data) == {0xFF} else digits_text(data)
        elif name == "status":
            fields["status"] = data.hex(" ")
            fields["valve"] = VALVES[data[0] & 3]
            fields["battery"] = "low" if data[0] & 4 else "good"
        elif uom:
            rows.append({"name": name, "value": bcd_text(data, places), "uom": uom})
        else:
            known = UNITS.get(data[-1])
            if known is None and set(data) != {0xFF}:
                note += f"; unit code {data[-1]:02x} of {name} is not known"
            unit, power = known or (None, 0)
            value = bcd_text(data[:-1], places - power)
            rows.append({"name": name, "value": value, "uom": unit})
    main = next(row for row in rows if row["name"] == "total")
    fields |= {"value": main["value"], "uom": main["uom"], "totals": rows}
    missing = [str(row["name"]) for row in rows if row["value"] is None]
    return note + (f"; missing (all FF): {', '.join(missing)}" if missing else "")


def _match(frame: Frame, asked: Frame) -> None:
    if asked.control & ANSWER:
        message = f"request: control {asked.control:02x} is an answer"
        raise WireError(message)
    if not frame.control & ANSWER or frame.control & 0x3F != asked.control:
        message = f"control {frame.control:02x} is no answer to {asked.control:02x}"
        raise WireError(message)
    if asked.address not in (frame.address, WILDCARD):
        message = f"answer of {frame.address}, asked was {asked.address}"
        raise WireError(message)
    if asked.meter_type not in (frame.meter_type, _ANY_TYPE):
        message = f"answer of meter type {frame.meter_type:02x}, asked was {asked.meter_type:02x}"
        raise WireError(message)
    if frame.control & REFUSED or len(asked.data) < _DI + 1 or len(frame.data) < _DI + 1:
        return
    # Meters may answer 90 1F to 1F 90, so what the identifier means counts, not its order.
    if _di(frame)[0] != _di(asked)[0]:
        message = f"answer with identifier {_di(frame)[0]}, asked was {_di(asked)[0]}"
        raise WireError(message)
    if frame.data[_DI] != asked.data[_DI]:
        message = f"answer with serial {frame.data[_DI]:02x}, asked was {asked.data[_DI]:02x}"
        raise WireError(message)


def _di(frame: Frame) -> tuple[str, bool]:
    """The identifier, highest byte first, and whether it lay low byte first on the wire."""
    first, second = frame.data[:_DI]
    # All identifiers are 81xx..A0xx: the byte with the top bit is the high one.
    low_first = second >= _LEAST_HIGH > first
    return (f"{second:02x}{first:02x}" if low_first else f"{first:02x}{second:02x}"), low_first


def _frame_of(raw: bytes) -> Frame:
    return Frame(raw[1], digits_text(raw[2:9]), raw[9], raw[_HEAD:-2])


def _length_at(buffer: bytes | bytearray, start: int) -> int | None:
    if buffer[start] != START or len(buffer) < start + _HEAD:
        return None
    # Two start bytes around six others are DL/T 645; here the type is in the second byte.
    if not _FIRST_TYPE <= buffer[start + 1] <= _LAST_TYPE and buffer[start + 1] != _ANY_TYPE:
        return None
    return _HEAD + buffer[start + 10] + 2


# Name, bytes, decimals, uom; where the uom is empty its code is the last of the bytes.
_Layout = tuple[tuple[str, int, int, str], ...]
_FLOW: _Layout = (
    ("total", 5, 2, ""),
    ("total_on_settlement_day", 5, 2, ""),
    ("read_at", 7, 0, ""),
    ("status", 2, 0, ""),
)
_HEAT: _Layout = (
    ("total_on_settlement_day", 5, 2, ""),
    ("total", 5, 2, ""),
    ("power", 5, 2, ""),
    ("flow", 5, 4, ""),
    ("volume", 5, 2, ""),
    ("supply_temperature", 3, 2, "Cel"),
    ("return_temperature", 3, 2, "Cel"),
    ("working_time", 3, 0, "h"),
    ("read_at", 7, 0, ""),
    ("status", 2, 0, ""),
)
_ADDRESS = 7
_HEAD = 11
_DI = 2
_MOST_DATA = 255
_HEAT_TYPES = 2
_FIRST_TYPE, _LAST_TYPE, _ANY_TYPE = 0x10, 0x49, 0xAA
_LEAST_HIGH = 0x80
