"""Modbus requests and replies for functions 1-6, 15 and 16, framed for TCP (MBAP) and RTU (CRC)."""

import struct
from dataclasses import dataclass

from protocols.errors import DeviceError, WireError

READ_BITS = (1, 2)
READ_REGISTERS = (3, 4)
WRITE_COIL, WRITE_REGISTER = WRITE_ONE = (5, 6)
WRITE_COILS, WRITE_REGISTERS = WRITE_MANY = (15, 16)
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
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
class Request:
    """`count` bits or registers from wire `address`; `values` are the bits or words of a write."""

    unit_id: int
    function: int
    address: int
    count: int = 1
    values: tuple[int, ...] = ()


def request_pdu(request: Request) -> bytes:
    """Function code and body of a request; ValueError where the standard allows no such request."""
    function, count, values = request.function, request.count, request.values
    _check(request)
    if function in READ_BITS or function in READ_REGISTERS:
        return _BHH.pack(function, request.address, count)
    if function == WRITE_COIL:
        return _BHH.pack(function, request.address, _COIL_ON if values[0] else 0)
    if function in WRITE_ONE:
        return _BHH.pack(function, request.address, values[0])
    data = _pack_bits(values) if function == WRITE_COILS else struct.pack(f">{count}H", *values)
    return _BHHB.pack(function, request.address, count, len(data)) + data


def tcp_frame(transaction_id: int, unit_id: int, pdu: bytes) -> bytes:
    """A PDU behind its MBAP header."""
    return _MBAP.pack(transaction_id, 0, len(pdu) + 1, unit_id) + pdu


def rtu_frame(unit_id: int, pdu: bytes) -> bytes:
    """A PDU between its unit id and its CRC, low byte first."""
    body = bytes((unit_id,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def tcp_length(buffer: bytes | bytearray) -> int | None:
    """Whole length of the frame that begins the buffer, None while too short; WireError."""
    if len(buffer) < _MBAP.size:
        return None
    _, protocol, length, _ = _MBAP.unpack_from(buffer)
    if protocol != 0 or not 1 < length <= _LONGEST_PDU + 1:
        message = f"no MBAP header: protocol {protocol}, length {length}"
        raise WireError(message)
    return 6 + int(length)


def match_tcp(frame: bytes | bytearray, request: Request, transaction_id: int) -> tuple[int, ...]:
    """Values in one whole TCP frame; DeviceError if refused, WireError if no answer to this."""
    length = tcp_length(frame)
    if length != len(frame):
        message = f"frame of {len(frame)} bytes, its header says {length}"
        raise WireError(message)
    got_id, _, _, unit_id = _MBAP.unpack_from(frame)
    if got_id != transaction_id:
        message = f"answer to transaction {got_id}, asked was {transaction_id}"
        raise WireError(message)
    _check_unit(unit_id, request)
    return match_pdu(bytes(frame[7:]), request)


def tcp_answer(request: Request) -> tuple[bytes, struct.Struct]:
    """Bytes 2..9 of the only right answer to a read of registers, and the layout of its words."""
    size = 2 * request.count
    head = _MBAP.pack(0, 0, 3 + size, request.unit_id)[2:] + bytes((request.function, size))
    return head, struct.Struct(f">{request.count}H")


def match_rtu(frame: bytes | bytearray, request: Request) -> tuple[int, ...]:
    """Values in one whole RTU frame; DeviceError if refused, WireError if no answer to this."""
    if len(frame) < _SHORTEST_RTU:
        message = f"frame of {len(frame)} bytes, the shortest has 5"
        raise WireError(message)
    if crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
        message = f"checksum of {bytes(frame).hex(' ')} is wrong"
        raise WireError(message)
    _check_unit(frame[0], request)
    return match_pdu(bytes(frame[1:-2]), request)


def find_rtu(buffer: bytes | bytearray, request: Request) -> tuple[int, ...] | None:
    """Values of the answer anywhere in the buffer, None if it is not (yet) there; DeviceError.

    Stray bytes before the answer and frames of other units are passed over (RS485 without bias).
    """
    heads = {
        bytes((request.unit_id, request.function)): rtu_reply_length(request),
        bytes((request.unit_id, request.function | 0x80)): 5,
    }
    for start in range(len(buffer) - 4):
        length = heads.get(bytes(buffer[start : start + 2]))
        frame = buffer[start : start + (length or 0)]
        if length and len(frame) == length and _crc_fits(frame):
            try:
                return match_rtu(frame, request)
            except WireError:
                continue
    return None


def rtu_reply_length(request: Request) -> int:
    """Bytes of the RTU frame that answers the request, if it is not refused."""
    if request.function in READ_BITS:
        return 5 + (request.count + 7) // 8
    return 5 + 2 * request.count if request.function in READ_REGISTERS else 8


def match_pdu(pdu: bytes, request: Request) -> tuple[int, ...]:
    """Bits or words that a reply PDU carries (echoed values for writes); DeviceError, WireError."""
    function, count = request.function, request.count
    if not pdu:
        message = "an empty reply"
        raise WireError(message)
    if pdu[0] == function | 0x80:
        if len(pdu) != _EXCEPTION_SIZE:
            message = f"exception of {len(pdu)} bytes, must be 2"
            raise WireError(message)
        reason = EXCEPTIONS.get(pdu[1], "unknown code")
        message = (
            f"unit {request.unit_id} refused function {function} at {request.address:#06x}"
            f" x {count}: exception {pdu[1]:02d}, {reason}"
        )
        raise DeviceError(message, code=pdu[1])
    if pdu[0] != function:
        message = f"answer to function {pdu[0]}, asked was {function}"
        raise WireError(message)
    if function in READ_BITS or function in READ_REGISTERS:
        size = (count + 7) // 8 if function in READ_BITS else 2 * count
        if len(pdu) != size + 2 or pdu[1] != size:
            message = f"{len(pdu) - 2} bytes of data, asked were {size}"
            raise WireError(message)
        if function in READ_BITS:
            return _unpack_bits(pdu[2:], count)
        return struct.unpack_from(f">{count}H", pdu, 2)
    if pdu != request_pdu(request)[:5]:
        message = f"write echoed as {pdu.hex(' ')}, sent was {request_pdu(request)[:5].hex(' ')}"
        raise WireError(message)
    return request.values


def parse_tcp_request(frame: bytes | bytearray) -> tuple[int, Request]:
    """Transaction id and request of one whole TCP frame; DeviceError to refuse with, WireError."""
    transaction_id, _, _, unit_id = _MBAP.unpack_from(frame)
    return transaction_id, parse_request_pdu(unit_id, bytes(frame[7:]))


def parse_rtu_request(frame: bytes | bytearray) -> Request:
    """Request of one whole RTU frame; DeviceError to refuse with, WireError if the CRC is wrong."""
    if not _crc_fits(frame):
        message = f"checksum of {bytes(frame).hex(' ')} is wrong"
        raise WireError(message)
    return parse_request_pdu(frame[0], bytes(frame[1:-2]))


def rtu_request_length(buffer: bytes | bytearray) -> int | None:
    """Whole length of the RTU request that begins the buffer, None until it can be known."""
    if len(buffer) <= 1:
        return None
    if buffer[1] not in WRITE_MANY:
        return 8
    return 9 + buffer[_RTU_BYTE_COUNT] if len(buffer) > _RTU_BYTE_COUNT else None


def parse_request_pdu(unit_id: int, pdu: bytes) -> Request:
    """Request of a PDU; DeviceError carries the exception code the standard wants in reply."""
    function = pdu[0] if pdu else 0
    if function not in _LIMITS:
        message = f"function {function} is not served"
        raise DeviceError(message, code=ILLEGAL_FUNCTION)
    if len(pdu) < _BHH.size:
        message = f"request of {len(pdu)} bytes is too short"
        raise WireError(message)
    _, address, last = _BHH.unpack_from(pdu)
    values: tuple[int, ...] = ()
    count = last
    if function in WRITE_ONE:
        count = 1
        values = (last,) if function == WRITE_REGISTER else (int(last == _COIL_ON),)
        if function == WRITE_COIL and last not in (0, _COIL_ON):
            raise DeviceError("a coil is FF00 or 0000", code=ILLEGAL_VALUE)
    elif function in WRITE_MANY:
        size = (last + 7) // 8 if function == WRITE_COILS else 2 * last
        if len(pdu) != 6 + size or pdu[5] != size:
            raise DeviceError("byte count and data differ", code=ILLEGAL_VALUE)
        bits = function == WRITE_COILS
        values = _unpack_bits(pdu[6:], last) if bits else struct.unpack_from(f">{last}H", pdu, 6)
    if not 1 <= count <= _LIMITS[function]:
        message = f"count {count}: allowed are 1..{_LIMITS[function]}"
        raise DeviceError(message, code=ILLEGAL_VALUE)
    return Request(unit_id, function, address, count, values)


def reply_pdu(request: Request, values: tuple[int, ...] = ()) -> bytes:
    """The reply to a request: `values` are the bits or words of a read, nothing for a write."""
    function = request.function
    if function in READ_REGISTERS:
        return struct.pack(f">BB{len(values)}H", function, 2 * len(values), *values)
    if function in READ_BITS:
        data = _pack_bits(values)
        return bytes((function, len(data))) + data
    return request_pdu(request)[:5]


def exception_pdu(function: int, code: int) -> bytes:
    """The reply that refuses a function with an exception code."""
    return bytes((function | 0x80, code))


def crc16(data: bytes | bytearray) -> int:
    """Modbus CRC-16 (polynomial A001 reflected, start FFFF)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _check(request: Request) -> None:
    limit = _LIMITS.get(request.function)
    if limit is None:
        message = f"function {request.function}: allowed are {sorted(_LIMITS)}"
        raise ValueError(message)
    if not 1 <= request.count <= limit or not 0 <= request.address <= 65536 - request.count:
        message = (
            f"address {request.address}, count {request.count}: allowed are 1..{limit} within 65536"
        )
        raise ValueError(message)
    writes = request.function in WRITE_ONE or request.function in WRITE_MANY
    if writes and len(request.values) != request.count:
        message = f"{len(request.values)} values for a count of {request.count}"
        raise ValueError(message)
    if not all(0 <= value <= _LARGEST_WORD for value in request.values):
        message = f"values {request.values}: allowed are 0..{_LARGEST_WORD}"
        raise ValueError(message)


def _check_unit(unit_id: int, request: Request) -> None:
    if unit_id != request.unit_id:
        message = f"answer of unit {unit_id}, asked was {request.unit_id}"
        raise WireError(message)


def _crc_fits(frame: bytes | bytearray) -> bool:
    return crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")


def _pack_bits(bits: tuple[int, ...]) -> bytes:
    number = sum(1 << place for place, bit in enumerate(bits) if bit)
    return number.to_bytes((len(bits) + 7) // 8, "little")


def _unpack_bits(data: bytes, count: int) -> tuple[int, ...]:
    number = int.from_bytes(data, "little")
    return tuple(number >> place & 1 for place in range(count))


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_MBAP = struct.Struct(">HHHB")
_BHH = struct.Struct(">BHH")
_BHHB = struct.Struct(">BHHB")
_COIL_ON = 0xFF00
_LARGEST_WORD = 0xFFFF
_LONGEST_PDU = 253
_EXCEPTION_SIZE = 2
_SHORTEST_RTU = 5
_RTU_BYTE_COUNT = 6
# Most bits or registers in one request (application protocol 6.1-6.12).
_LIMITS = {1: 2000, 2: 2000, 3: 125, 4: 125, 5: 1, 6: 1, 15: 1968, 16: 123}
_CRC_TABLE = tuple(_crc_of(byte) for byte in range(256))
