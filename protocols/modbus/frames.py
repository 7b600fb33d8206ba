"""Modbus PDUs framed for TCP (MBAP) and for RTU (CRC), which some gateways also send over TCP."""

import struct

from protocols.errors import WireError
from protocols.modbus.identification import ENCAPSULATED
from protocols.modbus.replies import (
    EXCEPTIONS,
    GATEWAY_NO_ANSWER,
    exception_pdu,
    match_pdu,
    reply_pdu,
)
from protocols.modbus.requests import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    MASK_WRITE,
    READ_BITS,
    READ_REGISTERS,
    READ_WRITE,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_MANY,
    WRITE_ONE,
    WRITE_REGISTER,
    WRITE_REGISTERS,
    Request,
    parse_request_pdu,
    request_pdu,
)

__all__ = [
    "EXCEPTIONS",
    "GATEWAY_NO_ANSWER",
    "ILLEGAL_ADDRESS",
    "ILLEGAL_FUNCTION",
    "ILLEGAL_VALUE",
    "MASK_WRITE",
    "READ_BITS",
    "READ_REGISTERS",
    "READ_WRITE",
    "WRITE_COIL",
    "WRITE_COILS",
    "WRITE_MANY",
    "WRITE_ONE",
    "WRITE_REGISTER",
    "WRITE_REGISTERS",
    "Request",
    "crc16",
    "exception_pdu",
    "find_rtu",
    "match_pdu",
    "match_rtu",
    "match_tcp",
    "open_rtu",
    "open_tcp",
    "parse_request_pdu",
    "parse_rtu_request",
    "parse_tcp_request",
    "reply_pdu",
    "request_pdu",
    "rtu_frame",
    "rtu_reply_length",
    "rtu_request_length",
    "tcp_answer",
    "tcp_frame",
    "tcp_length",
]


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


def open_tcp(frame: bytes | bytearray) -> tuple[int, int, bytes]:
    """Transaction id, unit id and PDU of one whole TCP frame; WireError."""
    length = tcp_length(frame)
    if length != len(frame):
        message = f"frame of {len(frame)} bytes, its header says {length}"
        raise WireError(message)
    transaction_id, _, _, unit_id = _MBAP.unpack_from(frame)
    return transaction_id, unit_id, bytes(frame[_MBAP.size :])


def open_rtu(frame: bytes | bytearray) -> tuple[int, bytes]:
    """Unit id and PDU of one whole RTU frame; WireError if it is short or its CRC is wrong."""
    if len(frame) < _SHORTEST_RTU:
        message = f"frame of {len(frame)} bytes, the shortest has {_SHORTEST_RTU}"
        raise WireError(message)
    if not _crc_fits(frame):
        message = f"checksum of {bytes(frame).hex(' ')} is wrong"
        raise WireError(message)
    return frame[0], bytes(frame[1:-2])


def match_tcp(frame: bytes | bytearray, request: Request, transaction_id: int) -> tuple[int, ...]:
    """Values in one whole TCP frame; DeviceError if refused, WireError if no answer to this."""
    got_id, unit_id, pdu = open_tcp(frame)
    if got_id != transaction_id:
        message = f"answer to transaction {got_id}, asked was {transaction_id}"
        raise WireError(message)
    _check_unit(unit_id, request)
    return match_pdu(pdu, request)


def tcp_answer(request: Request) -> tuple[bytes, struct.Struct]:
    """Bytes 2..9 of the only right answer to a read of registers, and the layout of its words."""
    size = 2 * request.count
    head = _MBAP.pack(0, 0, 3 + size, request.unit_id)[2:] + bytes((request.function, size))
    return head, struct.Struct(f">{request.count}H")


def match_rtu(frame: bytes | bytearray, request: Request) -> tuple[int, ...]:
    """Values in one whole RTU frame; DeviceError if refused, WireError if no answer to this."""
    unit_id, pdu = open_rtu(frame)
    _check_unit(unit_id, request)
    return match_pdu(pdu, request)


def find_rtu(buffer: bytes | bytearray, request: Request) -> tuple[int, ...] | None:
    """Values of the answer anywhere in the buffer, None if it is not (yet) there; DeviceError.

    Stray bytes before the answer and frames of other units are passed over (RS485 without bias),
    and so is the echo of our own request: some adapters hear themselves, and the first bytes of a
    request can carry a valid checksum of a shorter reply.
    """
    reads = request.function in READ_BITS or request.function in READ_REGISTERS
    # a write is answered by its own bytes, so there an echo cannot be told
    sent = rtu_frame(request.unit_id, request_pdu(request)) if reads else b""
    heads = {
        bytes((request.unit_id, request.function)): rtu_reply_length(request),
        bytes((request.unit_id, request.function | 0x80)): 5,
    }
    passed = 0
    for start in range(len(buffer) - 4):
        if sent and sent.startswith(buffer[start : start + len(sent)]):
            passed = start + len(sent)
        if start < passed:
            continue
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
    if request.function in READ_REGISTERS or request.function == READ_WRITE:
        return 5 + 2 * request.count
    return 10 if request.function == MASK_WRITE else 8


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
    function = buffer[1]
    place = _RTU_BYTE_COUNT.get(function)
    if place is None:
        return _RTU_REQUEST.get(function, 8)
    return place + 3 + buffer[place] if len(buffer) > place else None


def crc16(data: bytes | bytearray) -> int:
    """Modbus CRC-16 (polynomial A001 reflected, start FFFF)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _check_unit(unit_id: int, request: Request) -> None:
    if unit_id != request.unit_id:
        message = f"answer of unit {unit_id}, asked was {request.unit_id}"
        raise WireError(message)


def _crc_fits(frame: bytes | bytearray) -> bool:
    return crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_MBAP = struct.Struct(">HHHB")
_LONGEST_PDU = 253
_SHORTEST_RTU = 5
_RTU_BYTE_COUNT = {WRITE_COILS: 6, WRITE_REGISTERS: 6, READ_WRITE: 10}
_RTU_REQUEST = {MASK_WRITE: 10, ENCAPSULATED: 7}
_CRC_TABLE = tuple(_crc_of(byte) for byte in range(256))
