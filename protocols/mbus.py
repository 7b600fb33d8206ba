"""M-Bus (EN 13757-2 and -3): frames of heat, water and electricity meters and what they say."""

from dataclasses import dataclass

from protocols.bcd import digits_text
from protocols.errors import WireError
from protocols.mbus_records import Record, parse_records
from protocols.summed import END, Span, fault_of, find_span, judge_spans
from protocols.verdict import REQUEST, RESPONSE, Field, Kind, Verdict, reject

ACK = b"\xe5"
SHORT, LONG = 0x10, 0x68
VARIABLE_LONG_HEADER, VARIABLE_SHORT_HEADER, VARIABLE_NO_HEADER = 0x72, 0x7A, 0x78
APPLICATION_ERROR = 0x70
# Addresses that are no single meter's own: selected, and everyone with or without an answer.
SELECTED, EVERYONE = 253, (254, 255)
MEDIA = {
    0x00: "other",
    0x02: "electric",
    0x03: "gas",
    0x04: "heat (return)",
    0x06: "hot water",
    0x07: "water",
    0x08: "heat cost allocator",
    0x0A: "cooling (return)",
    0x0B: "cooling (flow)",
    0x0C: "heat (flow)",
    0x0D: "heat and cooling",
    0x15: "hot water 90 C",
    0x16: "cold water",
}
ERRORS = {
    0: "unspecified error",
    1: "unimplemented CI field",
    2: "buffer too long",
    3: "too many records",
    4: "premature end of record",
    5: "too many DIFE",
    6: "too many VIFE",
    8: "application busy",
    9: "too many readouts",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """Control and address; `ci` and `data` only in control and long frames."""

    control: int
    address: int
    ci: int | None = None
    data: bytes = b""


def encode(frame: Frame) -> bytes:
    """The frame's bytes; ValueError if it cannot be sent."""
    body = bytes((frame.control, frame.address))
    if frame.ci is None:
        return bytes((SHORT, *body, sum(body) & 0xFF, END))
    body += bytes((frame.ci,)) + frame.data
    if len(body) > _MOST:
        message = f"{len(frame.data)} bytes of data: allowed are {_MOST - _LEAST}"
        raise ValueError(message)
    return bytes((LONG, len(body), len(body), LONG)) + body + bytes((sum(body) & 0xFF, END))


def find_frame(buffer: bytes | bytearray) -> tuple[Frame, Span] | None:
    """The first whole short or long frame and where it lies, None if there is none yet."""
    span = find_span(buffer, _length_at, first=_LONG_HEAD)
    return None if span is None else (_frame_of(bytes(buffer[span.start : span.end])), span)


def judge(buffer: bytes, *, kind: Kind | None = None, request: bytes | None = None) -> Verdict:
    """The verdict on a frame with anything around it; `request` is the frame it must answer."""
    asked = None if request is None else find_frame(request)
    if request is not None and asked is None:
        return reject(f"request: {fault_of(request, _length_at, first=_LONG_HEAD)}")
    if asked is not None and not asked[0].control & _FROM_MASTER:
        return reject(f"request: control {asked[0].control:02x} is an answer")
    if buffer == ACK and kind != REQUEST:
        if asked is not None and asked[0].control & 0x0F == _REQUEST_DATA:
            return reject("e5 acknowledges, asked were data")
        return _acknowledged()

    def read(raw: bytes) -> Verdict:
        frame = _frame_of(raw)
        if asked is not None:
            _match(frame, asked[0])
        return explain(frame)

    return judge_spans(buffer, _length_at, read, kind=kind, first=_LONG_HEAD)


def explain(frame: Frame) -> Verdict:
    """The verdict on one right frame; WireError if its data are nonsense."""
    asks = bool(frame.control & _FROM_MASTER)
    fields: dict[str, Field] = {
        "address": str(frame.address),
        "di": None,
        "value": None,
        "uom": None,
        "kind": REQUEST if asks else RESPONSE,
        "control": f"{frame.control:02x}",
    }
    # The counting bits differ from frame to frame and name nothing.
    code = frame.control & (0x4F if asks else 0x0F)
    name = _CONTROLS.get(code, f"control {frame.control:02x}, which the standard does not name")
    reason = f"{fields['kind']}: {name}"
    if frame.ci is None:
        return Verdict("accept", reason, fields=fields)
    fields["ci"] = f"{frame.ci:02x}"
    if frame.ci == APPLICATION_ERROR and not asks:
        number = frame.data[0] if frame.data else 0
        fields["exception_name"] = ERRORS.get(number, "an error the standard does not name")
        reason = f"{reason}, application error: {fields['exception_name']}"
        return Verdict("exception", reason, exception=number, fields=fields)
    size = _HEADERS.get(frame.ci)
    if asks or size is None:
        fields["data"] = frame.data.hex(" ")
        note = "" if asks else f"; CI {frame.ci:02x} is not decoded"
        return Verdict("accept", reason + note, fields=fields)
    if len(frame.data) < size:
        message = f"{len(frame.data)} bytes of data, the header alone has {size}"
        raise WireError(message)
    mode = _header(frame.data[:size], fields)
    if mode:
        fields["data"] = frame.data[size:].hex(" ")
        return Verdict("accept", f"{reason}; encrypted in mode {mode}", fields=fields)
    records, note = parse_records(frame.data[size:])
    _tell(records, fields)
    unknown = [record.note for record in records if record.note]
    note += f"; {', '.join(unknown)}" if unknown else ""
    return Verdict("accept", f"{reason}, {len(records)} records{note}", fields=fields)


def maker_code(number: int) -> str:
    """The three letters of a maker's number (EN 62056-21)."""
    return "".join(chr(64 + (number >> shift & 31)) for shift in (10, 5, 0))


def _header(data: bytes, fields: dict[str, Field]) -> int:
    """Put the header into the fields; the encryption mode, 0 for none."""
    if not data:
        return 0
    if len(data) == _LONG_FIXED:
        fields |= {
            "id": digits_text(data[:4]),
            "maker": maker_code(int.from_bytes(data[4:6], "little")),
            "version": data[6],
            "medium": MEDIA.get(data[7], f"medium {data[7]:02x}"),
        }
    access, status, low, high = data[-4:]
    fields |= {"access": access, "status": f"{status:02x}", "signature": f"{high:02x}{low:02x}"}
    return high & 0x1F


def _tell(records: tuple[Record, ...], fields: dict[str, Field]) -> None:
    # What a meter is there to count: its total now, over all tariffs.
    totals = [
        record
        for record in records
        if record.value is not None
        and record.quantity in ("energy", "volume")
        and (record.function, record.storage, record.tariff, record.subunit)
        == ("instantaneous", 0, 0, 0)
    ]
    measured = [record for record in records if record.value is not None and record.uom]
    for record in (totals or measured)[:1]:
        fields |= {"value": record.value, "uom": record.uom, "quantity": record.quantity}
        fields["di"] = (record.dib + record.vib).replace(" ", "")
    fields["records"] = [
        {
            "dib": record.dib,
            "vib": record.vib,
            "quantity": record.quantity,
            "value": record.value,
            "uom": record.uom,
            "function": record.function,
            "storage": str(record.storage),
            "tariff": str(record.tariff),
            "subunit": str(record.subunit),
            "raw": record.raw,
            "note": record.note or None,
        }
        for record in records
    ]


def _acknowledged() -> Verdict:
    fields: dict[str, Field] = {"address": None, "di": None, "value": None, "uom": None}
    return Verdict("accept", "response: e5, acknowledged", fields={**fields, "kind": RESPONSE})


def _match(frame: Frame, asked: Frame) -> None:
    if frame.control & _FROM_MASTER:
        message = f"control {frame.control:02x} is a request"
        raise WireError(message)
    if asked.control & 0x0F not in (_REQUEST_DATA, _REQUEST_ALARM):
        message = f"only e5 answers control {asked.control:02x}"
        raise WireError(message)
    if asked.address == EVERYONE[1]:
        raise WireError("request: to 255, a broadcast that nobody answers")
    if asked.address not in (frame.address, SELECTED, EVERYONE[0]):
        message = f"answer of {frame.address}, asked was {asked.address}"
        raise WireError(message)
    if frame.ci is None or frame.control & 0x0F != _RESPOND_DATA:
        message = f"control {frame.control:02x} brings no data"
        raise WireError(message)


def _frame_of(raw: bytes) -> Frame:
    if raw[0] == SHORT:
        return Frame(raw[1], raw[2])
    return Frame(raw[4], raw[5], raw[6], raw[7:-2])


def _length_at(buffer: bytes | bytearray, start: int) -> int | None:
    if buffer[start] == SHORT:
        return _SHORT_LENGTH
    if buffer[start] != LONG or len(buffer) < start + _LONG_HEAD:
        return None
    length = buffer[start + 1]
    if length < _LEAST or buffer[start + 2] != length or buffer[start + 3] != LONG:
        return None
    return _LONG_HEAD + length + 2


_CONTROLS = {
    0x40: "reset the link",
    0x43: "send data",
    0x4A: "ask for alarms",
    0x4B: "ask for data",
    0x08: "data",
}
_FROM_MASTER = 0x40
_REQUEST_DATA, _REQUEST_ALARM, _RESPOND_DATA = 0x0B, 0x0A, 0x08
_LONG_FIXED = 12
_HEADERS = {VARIABLE_LONG_HEADER: _LONG_FIXED, VARIABLE_SHORT_HEADER: 4, VARIABLE_NO_HEADER: 0}
_SHORT_LENGTH = 5
_LONG_HEAD = 4
_LEAST, _MOST = 3, 252
