"""Where Modbus frames lie in a buffer, whatever stands around them, and why none does."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from protocols.errors import WireError
from protocols.modbus.frames import crc16, open_tcp, rtu_request_length, tcp_length
from protocols.modbus.identification import ENCAPSULATED, IDENTIFICATION, identification_length
from protocols.modbus.replies import reply_pdu_length
from protocols.modbus.requests import LIMITS
from protocols.verdict import RESPONSE, Kind


@dataclass(frozen=True, slots=True)
class Found:
    """A frame with a right checksum or header at bytes `start`..`end` of the buffer."""

    start: int
    end: int
    unit_id: int
    pdu: bytes
    kind: Kind
    transaction_id: int | None = None


def rtu_frames(buffer: bytes, kinds: tuple[Kind, ...]) -> Iterator[Found]:
    """Every stretch that by its own words is one frame with a right CRC; the whole buffer first."""
    size = len(buffer)
    fits = size >= _SHORTEST and _crc_at(buffer, 0, size)
    whole = [kind for kind in kinds if rtu_length(buffer, 0, kind) == size]
    # One or two zero bytes behind a frame keep its CRC right: the length must fit as well.
    if fits and whole:
        for kind in whole:
            yield Found(0, size, buffer[0], buffer[1:-2], kind)
    # A whole frame with a wrong CRC is a spoiled frame: only a few stray bytes may be around
    # another one in it, else its data would be searched for frames that nobody sent.
    stray = _STRAY if whole else size
    for start, kind in product(range(size - _SHORTEST + 1), kinds):
        length = rtu_length(buffer, start, kind)
        if length is None or start + length > size or size - length > stray:
            continue
        end = start + length
        if buffer[start] <= _LAST_UNIT and _crc_at(buffer, start, end):
            yield Found(start, end, buffer[start], buffer[start + 1 : end - 2], kind)
    if fits and not whole:
        # No frame by its own words, but whole: its fault is worth more than "nothing found".
        for kind in kinds:
            yield Found(0, size, buffer[0], buffer[1:-2], kind)


def tcp_frames(buffer: bytes, kinds: tuple[Kind, ...]) -> Iterator[Found]:
    """Every stretch behind an MBAP header whose length fits what its PDU says; the first first."""
    size = len(buffer)
    for start in range(size - _HEADER):
        try:
            length = tcp_length(buffer[start : start + _HEADER])
        except WireError:
            continue
        if length is None or start + length > size:
            continue
        transaction_id, unit_id, pdu = open_tcp(buffer[start : start + length])
        # At the very start whatever stands behind a header is reported, later only what fits.
        whole = start == 0 or length == size
        for kind in kinds:
            if whole or _pdu_length(pdu, kind) == len(pdu):
                yield Found(start, start + length, unit_id, pdu, kind, transaction_id)
        if start == 0 and length == size:
            return


def rtu_length(buffer: bytes, start: int, kind: Kind) -> int | None:
    """Length of the RTU frame that would begin here, None if it cannot be known or told."""
    part = buffer[start : start + _LONGEST]
    if len(part) < _SHORTEST or part[1] & 0x7F not in _KNOWN:
        return None
    if kind == RESPONSE:
        length = _pdu_length(part[1:], kind)
        return None if length is None else length + 3
    return None if part[1] & 0x80 else rtu_request_length(part)


def rtu_fault(buffer: bytes, kinds: tuple[Kind, ...]) -> str:
    """Why no frame was found in the bytes of an RTU line."""
    size = len(buffer)
    if size < _SHORTEST:
        return f"{size} bytes: the shortest frame has {_SHORTEST}"
    if any(f.end == size and f.start == 0 for f in tcp_frames(buffer, kinds)):
        return "no RTU frame but a whole Modbus TCP frame: its first bytes are an MBAP header"
    lengths = [rtu_length(buffer, 0, kind) for kind in kinds]
    got = int.from_bytes(buffer[-2:], "little")
    if size in lengths or all(length is None for length in lengths):
        right = crc16(buffer[:-2])
        if right == int.from_bytes(buffer[-2:], "big"):
            return f"CRC {_low_first(got)} has its two bytes swapped, must be {_low_first(right)}"
        known = buffer[1] & 0x7F in _KNOWN
        note = "" if known else f"; function {buffer[1] & 0x7F} is not decoded"
        return f"CRC {_low_first(got)} is wrong, must be {_low_first(right)}{note}"
    told = sorted({length for length in lengths if length is not None})
    wanted = " or ".join(map(str, told))
    if size < min(told):
        return f"truncated: {size} bytes, function {buffer[1] & 0x7F} makes it {wanted}"
    return f"no frame with a right CRC: {size} bytes, function {buffer[1] & 0x7F} makes it {wanted}"


def tcp_fault(buffer: bytes, kinds: tuple[Kind, ...]) -> str:
    """Why no frame was found in the bytes of a TCP connection."""
    size = len(buffer)
    if any(f.end == size and f.start == 0 for f in rtu_frames(buffer, kinds)):
        return "no MBAP header but a whole RTU frame with its CRC: the link is RTU over TCP"
    try:
        length = tcp_length(buffer[:_HEADER])
    except WireError as error:
        return str(error)
    if length is None or size <= _HEADER:
        return f"{size} bytes: the shortest frame has {_HEADER + 1}"
    return f"truncated: {size} bytes, its header says {length}"


def _pdu_length(pdu: bytes, kind: Kind) -> int | None:
    if kind != RESPONSE:
        length = None if not pdu or pdu[0] not in _KNOWN else rtu_request_length(b"\0" + pdu)
        return None if length is None else length - 3
    if pdu[:2] == bytes((ENCAPSULATED, IDENTIFICATION)):
        return identification_length(pdu)
    try:
        return reply_pdu_length(pdu)
    except ValueError:
        return None


def _crc_at(buffer: bytes, start: int, end: int) -> bool:
    return crc16(buffer[start : end - 2]) == int.from_bytes(buffer[end - 2 : end], "little")


def _low_first(crc: int) -> str:
    return crc.to_bytes(2, "little").hex(" ")


_SHORTEST = 5
_LONGEST = 256
_HEADER = 7
_STRAY = 4
# Unit ids above are reserved; beside stray bytes they only look like one.
_LAST_UNIT = 247
_KNOWN = frozenset(LIMITS) | {ENCAPSULATED}
