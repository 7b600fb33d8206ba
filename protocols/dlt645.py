"""DL/T 645-2007 and -1997, the protocol of Chinese electricity meters: frames and what they say."""

from dataclasses import dataclass

from protocols.bcd import bcd_text, digits_text
from protocols.dlt645_items import Item, item_1997, item_2007
from protocols.errors import WireError
from protocols.summed import END, WAKEUP, Language, Span, find_span, judge_frames
from protocols.verdict import REQUEST, RESPONSE, Field, Kind, Verdict

START = 0x68
OFFSET = 0x33
READ_2007, READ_1997 = 0x11, 0x01
READ_MORE_2007, READ_MORE_1997 = 0x12, 0x02
READ_ADDRESS = 0x13
ANSWER, REFUSED, MORE = 0x80, 0x40, 0x20
WILDCARD = "aa"
BROADCAST = "99" * 6
CONTROLS = {
    0x01: "read (1997)",
    0x02: "read what follows (1997)",
    0x03: "read again (1997) or security (2007)",
    0x04: "write (1997)",
    0x08: "set the clock of all",
    0x0A: "write address (1997)",
    0x0C: "change speed (1997)",
    0x0F: "change password (1997)",
    0x10: "clear demand (1997)",
    0x11: "read",
    0x12: "read what follows",
    0x13: "read address",
    0x14: "write",
    0x15: "write address",
    0x16: "freeze",
    0x17: "change speed",
    0x18: "change password",
    0x19: "clear demand",
    0x1A: "clear the meter",
    0x1B: "clear events",
    0x1C: "switch, alarm or keep supply",
    0x1D: "multi-function output",
}
ERRORS = (
    "other error",
    "no such data",
    "wrong password or not allowed",
    "speed cannot be changed",
    "too many year zones",
    "too many day periods",
    "too many rates",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """Address as 12 digits, highest first; control code; data with the 33H taken off."""

    address: str
    control: int
    data: bytes = b""


def encode(frame: Frame, *, wakeup: int = 0) -> bytes:
    """The frame's bytes behind `wakeup` times FE; ValueError if it cannot be sent."""
    address = bytes.fromhex(frame.address)[::-1]
    if len(address) != _ADDRESS or len(frame.data) > _MOST_DATA:
        message = f"address {frame.address!r}, {len(frame.data)} bytes: allowed are 12 digits, 200"
        raise ValueError(message)
    shifted = bytes(byte + OFFSET & 0xFF for byte in frame.data)
    head = bytes((START, *address, START, frame.control, len(shifted)))
    return bytes((WAKEUP,)) * wakeup + head + shifted + bytes((sum(head + shifted) & 0xFF, END))


def read_frame(address: str, di: str) -> Frame:
    """The question for a data identifier: 8 hex digits (2007) or 4 (1997), highest first."""
    control = READ_1997 if len(di) == 2 * _DI_1997 else READ_2007
    return Frame(address, control, bytes.fromhex(di)[::-1])


def find_frame(buffer: bytes | bytearray) -> tuple[Frame, Span] | None:
    """The first whole frame with a right checksum and where it lies, None if there is none yet."""
    span = find_span(buffer, _length_at)
    if span is None:
        return None
    return _frame_of(bytes(buffer[span.start : span.end])), span


def judge(buffer: bytes, *, kind: Kind | None = None, request: bytes | None = None) -> Verdict:
    """The verdict on a frame with anything around it; `request` is the frame it must answer."""
    language = Language(_frame_of, _match, explain)
    return judge_frames(buffer, _length_at, language, kind=kind, request=request)


def explain(frame: Frame) -> Verdict:
    """The verdict on one right frame; WireError if its data are nonsense."""
    answer = bool(frame.control & ANSWER)
    function = frame.control & 0x1F
    name = CONTROLS.get(function, f"control {frame.control:02x}, which the standard does not name")
    fields: dict[str, Field] = {
        "address": frame.address,
        "di": None,
        "value": None,
        "uom": None,
        "kind": RESPONSE if answer else REQUEST,
        "control": f"{frame.control:02x}",
    }
    if answer and frame.control & REFUSED:
        code = frame.data[0] if frame.data else 0
        told = [text for place, text in enumerate(ERRORS) if code >> place & 1]
        fields["exception_name"] = ", ".join(told) or "no reason given"
        reason = f"response: {name} refused: {fields['exception_name']}"
        return Verdict("exception", reason, exception=code, fields=fields)
    reason = f"{fields['kind']}: {name}"
    if frame.control & MORE:
        reason += ", more frames follow"
    size = _di_size(frame)
    if size is None:
        if function == READ_ADDRESS and answer and len(frame.data) == _ADDRESS:
            fields["value"] = digits_text(frame.data)
        fields["data"] = frame.data.hex(" ")
        return Verdict("accept", reason, fields=fields)
    if len(frame.data) < size:
        message = f"{len(frame.data)} bytes of data, the identifier alone has {size}"
        raise WireError(message)
    fields["edition"] = "1997" if size == _DI_1997 else "2007"
    fields["di"] = digits_text(frame.data[:size])
    if not answer:
        reason += _named(size, fields)
    elif function in (READ_2007, READ_1997):
        reason += _decode(frame.data[size:], size, fields)
    else:
        # the rest of a block may begin within a value
        fields["data"] = frame.data[size:].hex(" ")
    return Verdict("accept", reason, fields=fields)


def _frame_of(raw: bytes) -> Frame:
    data = bytes(byte - OFFSET & 0xFF for byte in raw[_HEAD:-2])
    return Frame(digits_text(raw[1:7]), raw[8], data)


def _named(size: int, fields: dict[str, Field]) -> str:
    item = _item(size, fields)
    fields["quantity"] = None if item is None else item.name
    return "" if item is None else f" {item.name}"


def _decode(data: bytes, size: int, fields: dict[str, Field]) -> str:
    item = _item(size, fields)
    if item is None:
        fields["data"] = data.hex(" ")
        return f"; identifier {fields['di']} is not known, its data are not decoded"
    fields["quantity"] = item.name
    fields["uom"] = item.uom
    if item.block:
        # 1997 closes a block with AA; what follows the last whole value is its block end.
        body = data.removesuffix(b"\xaa")
        if not body or len(body) % item.size:
            message = f"{len(data)} bytes of data, {item.name} has {item.size} each"
            raise WireError(message)
        parts = [body[place : place + item.size] for place in range(0, len(body), item.size)]
        fields["values"] = [bcd_text(part, item.places, signed=item.signed) for part in parts]
        return f" {item.name}, {len(parts)} values"
    if len(data) != item.size:
        message = f"{len(data)} bytes of data, {item.name} has {item.size}"
        raise WireError(message)
    fields["value"] = bcd_text(data, item.places, signed=item.signed)
    return f" {item.name}" + ("" if fields["value"] is not None else " is missing (all FF)")


def _item(size: int, fields: dict[str, Field]) -> Item | None:
    di = int(str(fields["di"]), 16)
    return item_1997(di) if size == _DI_1997 else item_2007(di)


def _di_size(frame: Frame) -> int | None:
    function = frame.control & 0x1F
    if function in (READ_2007, READ_MORE_2007):
        return _DI_2007
    return _DI_1997 if function in (READ_1997, READ_MORE_1997) else None


def _match(frame: Frame, asked: Frame) -> None:
    if asked.control & ANSWER:
        message = f"request: control {asked.control:02x} is an answer"
        raise WireError(message)
    if asked.address == BROADCAST:
        raise WireError("request: a broadcast, which nobody answers")
    if not frame.control & ANSWER or frame.control & 0x1F != asked.control & 0x1F:
        message = f"control {frame.control:02x} is no answer to {asked.control:02x}"
        raise WireError(message)
    pairs = zip(_pairs(frame.address), _pairs(asked.address), strict=True)
    if any(want not in (got, WILDCARD) for got, want in pairs):
        message = f"answer of {frame.address}, asked was {asked.address}"
        raise WireError(message)
    size = _di_size(asked)
    if size and not frame.control & REFUSED and frame.data[:size] != asked.data[:size]:
        got, want = digits_text(frame.data[:size]), digits_text(asked.data[:size])
        message = f"answer with identifier {got}, asked was {want}"
        raise WireError(message)


def _pairs(address: str) -> list[str]:
    return [address[place : place + 2] for place in range(0, len(address), 2)]


def _length_at(buffer: bytes | bytearray, start: int) -> int | None:
    if buffer[start] != START or len(buffer) < start + _HEAD or buffer[start + 7] != START:
        return None
    return _HEAD + buffer[start + 9] + 2


_ADDRESS = 6
_HEAD = 10
_DI_2007, _DI_1997 = 4, 2
_MOST_DATA = 200
