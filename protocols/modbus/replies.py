"""Modbus replies: built for a request, judged against it, or read for themselves."""

import struct
from dataclasses import dataclass

from protocols.errors import DeviceError, WireError
from protocols.modbus.requests import (
    LIMITS,
    MASK_WRITE,
    READ_BITS,
    READ_REGISTERS,
    READ_WRITE,
    WRITE_COIL,
    WRITE_MANY,
    WRITE_ONE,
    Request,
    pack_bits,
    request_pdu,
    unpack_bits,
)

GATEWAY_NO_ANSWER = 11
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not answer",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reply says by itself: `words` or `bits` read, or the place and values of a write."""

    function: int
    exception: int | None = None
    words: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()
    address: int | None = None
    count: int | None = None


def reply_pdu(request: Request, values: tuple[int, ...] = ()) -> bytes:
    """The reply to a request: `values` are the bits or words of a read, nothing for a write."""
    function = request.function
    if function in READ_REGISTERS or function == READ_WRITE:
        return struct.pack(f">BB{len(values)}H", function, 2 * len(values), *values)
    if function in READ_BITS:
        data = pack_bits(values)
        return bytes((function, len(data))) + data
    return _echo(request)


def exception_pdu(function: int, code: int) -> bytes:
    """The reply that refuses a function with an exception code."""
    return bytes((function | 0x80, code))


def match_pdu(pdu: bytes, request: Request) -> tuple[int, ...]:
    """Bits or words that a reply PDU carries (echoed values for writes); DeviceError, WireError."""
    function, count = request.function, request.count
    place = f"function {function} at {request.address:#06x} x {count}"
    check_answers(pdu, function, asked=f"unit {request.unit_id} refused {place}")
    if function in READ_BITS or function in READ_REGISTERS or function == READ_WRITE:
        size = (count + 7) // 8 if function in READ_BITS else 2 * count
        if len(pdu) != size + 2 or pdu[1] != size:
            message = f"{len(pdu) - 2} bytes of data, asked were {size}"
            if len(pdu) == size + 2:
                message = f"byte count {pdu[1]} before {size} bytes of data"
            raise WireError(message)
        if function in READ_BITS:
            return unpack_bits(pdu[2:], count)
        return struct.unpack_from(f">{count}H", pdu, 2)
    sent = _echo(request)
    if pdu != sent:
        message = f"write echoed as {pdu.hex(' ')}, sent was {sent.hex(' ')}"
        raise WireError(message)
    return request.values


def check_answers(pdu: bytes, function: int, *, asked: str) -> None:
    """Pass if the PDU answers this function; DeviceError (`asked` begins its text), WireError."""
    if not pdu:
        message = "an empty reply"
        raise WireError(message)
    if pdu[0] == function | 0x80:
        if len(pdu) != _EXCEPTION_SIZE:
            message = f"exception of {len(pdu)} bytes, must be 2"
            raise WireError(message)
        message = f"{asked}: exception {pdu[1]:02d}, {EXCEPTIONS.get(pdu[1], 'unknown code')}"
        raise DeviceError(message, code=pdu[1])
    if pdu[0] != function:
        message = f"answer to function {pdu[0] & 0x7F}, asked was {function}"
        raise WireError(message)


def parse_reply_pdu(pdu: bytes) -> Reply:
    """A reply read without its request; WireError where the standard allows no such reply."""
    function = pdu[0] & 0x7F if pdu else 0
    if function not in LIMITS:
        message = f"function {function} is not decoded"
        raise WireError(message)
    if pdu[0] & 0x80:
        if len(pdu) != _EXCEPTION_SIZE:
            message = f"exception of {len(pdu)} bytes, must be 2"
            raise WireError(message)
        return Reply(function, exception=pdu[1])
    if function in READ_BITS or function in READ_REGISTERS or function == READ_WRITE:
        return _read_reply(pdu)
    return _write_reply(pdu)


def reply_pdu_length(pdu: bytes | bytearray) -> int | None:
    """Whole length of the reply PDU that begins here by its own words, None while unknown.

    ValueError for functions that do not tell.
    """
    if not pdu:
        return None
    function = pdu[0]
    if function & 0x80:
        return _EXCEPTION_SIZE
    if function in READ_BITS or function in READ_REGISTERS or function == READ_WRITE:
        return 2 + pdu[1] if len(pdu) > 1 else None
    if function in LIMITS:
        return 7 if function == MASK_WRITE else 5
    message = f"function {function} is not decoded"
    raise ValueError(message)


def _read_reply(pdu: bytes) -> Reply:
    function = pdu[0]
    size = pdu[1] if len(pdu) > 1 else 0
    if len(pdu) != size + 2:
        message = f"byte count {size} before {max(0, len(pdu) - 2)} bytes of data"
        raise WireError(message)
    if not 1 <= size <= _MOST_DATA:
        message = f"byte count {size}: allowed are 1..{_MOST_DATA}"
        raise WireError(message)
    if function in READ_BITS:
        return Reply(function, bits=unpack_bits(pdu[2:], 8 * size))
    if size % 2:
        message = f"byte count {size}: registers have two bytes each"
        raise WireError(message)
    return Reply(function, words=struct.unpack_from(f">{size // 2}H", pdu, 2))


def _write_reply(pdu: bytes) -> Reply:
    function = pdu[0]
    size = 7 if function == MASK_WRITE else 5
    if len(pdu) != size:
        message = f"reply of {len(pdu)} bytes to function {function}, must be {size}"
        raise WireError(message)
    address, *rest = struct.unpack(f">{size // 2}H", pdu[1:])
    if function == WRITE_COIL:
        if rest[0] not in (0, 0xFF00):
            raise WireError("a coil is FF00 or 0000")
        return Reply(function, bits=(int(rest[0] > 0),), address=address, count=1)
    if function in WRITE_MANY:
        if not 1 <= rest[0] <= min(LIMITS[function], 65536 - address):
            message = f"count {rest[0]}: allowed are 1..{LIMITS[function]} within 65536"
            raise WireError(message)
        return Reply(function, address=address, count=rest[0])
    return Reply(function, words=tuple(rest), address=address, count=1)


def _echo(request: Request) -> bytes:
    """What the standard repeats of a write: a mask write whole, of the others five bytes."""
    function = request.function
    pdu = request_pdu(request)
    return pdu if function == MASK_WRITE or function in WRITE_ONE else pdu[:5]


_EXCEPTION_SIZE = 2
_MOST_DATA = 250
