"""Modbus requests of functions 1-6, 15, 16, 22 and 23 and their PDUs."""

import struct
from dataclasses import dataclass

from protocols.errors import DeviceError, WireError

READ_BITS = (1, 2)
READ_REGISTERS = (3, 4)
WRITE_COIL, WRITE_REGISTER = WRITE_ONE = (5, 6)
WRITE_COILS, WRITE_REGISTERS = WRITE_MANY = (15, 16)
MASK_WRITE = 22
READ_WRITE = 23
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Request:
    """`count` bits or registers from wire `address`; `values` are the bits or words of a write.

    A mask write has the values (and mask, or mask); a read/write reads `count` registers from
    `address` after it wrote its values from `write_address`.
    """

    unit_id: int
    function: int
    address: int
    count: int = 1
    values: tuple[int, ...] = ()
    write_address: int = 0


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
    if function == MASK_WRITE:
        return _BHHH.pack(function, request.address, *values)
    if function == READ_WRITE:
        head = _READ_WRITE.pack(
            function, request.address, count, request.write_address, len(values), 2 * len(values)
        )
        return head + struct.pack(f">{len(values)}H", *values)
    data = pack_bits(values) if function == WRITE_COILS else struct.pack(f">{count}H", *values)
    return _BHHB.pack(function, request.address, count, len(data)) + data


def parse_request_pdu(unit_id: int, pdu: bytes) -> Request:
    """Request of a PDU; DeviceError carries the exception code the standard wants in reply."""
    function = pdu[0] if pdu else 0
    if function not in LIMITS:
        message = f"function {function} is not served"
        raise DeviceError(message, code=ILLEGAL_FUNCTION)
    if len(pdu) < _SHORTEST.get(function, _BHH.size):
        message = f"request of {len(pdu)} bytes is too short"
        raise WireError(message)
    _, address, last = _BHH.unpack_from(pdu)
    values: tuple[int, ...] = ()
    count, write_address = last, 0
    if function in WRITE_ONE:
        count = 1
        values = (last,) if function == WRITE_REGISTER else (int(last == _COIL_ON),)
        if function == WRITE_COIL and last not in (0, _COIL_ON):
            raise DeviceError("a coil is FF00 or 0000", code=ILLEGAL_VALUE)
    elif function in WRITE_MANY:
        size = (last + 7) // 8 if function == WRITE_COILS else 2 * last
        if len(pdu) != _BHHB.size + size or pdu[5] != size:
            raise DeviceError("byte count and data differ", code=ILLEGAL_VALUE)
        bits = function == WRITE_COILS
        values = unpack_bits(pdu[6:], last) if bits else struct.unpack_from(f">{last}H", pdu, 6)
    elif function == MASK_WRITE:
        count, values = 1, struct.unpack_from(">HH", pdu, 3)
    elif function == READ_WRITE:
        write_address, values = _written(pdu)
    if not 1 <= count <= LIMITS[function]:
        message = f"count {count}: allowed are 1..{LIMITS[function]}"
        raise DeviceError(message, code=ILLEGAL_VALUE)
    return Request(unit_id, function, address, count, values, write_address)


def pack_bits(bits: tuple[int, ...]) -> bytes:
    """Bits as bytes, the first bit lowest."""
    number = sum(1 << place for place, bit in enumerate(bits) if bit)
    return number.to_bytes((len(bits) + 7) // 8, "little")


def unpack_bits(data: bytes, count: int) -> tuple[int, ...]:
    """The first `count` bits of bytes, the lowest first."""
    number = int.from_bytes(data, "little")
    return tuple(number >> place & 1 for place in range(count))


def _written(pdu: bytes) -> tuple[int, tuple[int, ...]]:
    _, _, _, write_address, count, size = _READ_WRITE.unpack_from(pdu)
    if not 1 <= count <= _MOST_WRITTEN:
        message = f"count {count} to write: allowed are 1..{_MOST_WRITTEN}"
        raise DeviceError(message, code=ILLEGAL_VALUE)
    if size != 2 * count or len(pdu) != _READ_WRITE.size + size:
        raise DeviceError("byte count and data differ", code=ILLEGAL_VALUE)
    return write_address, struct.unpack_from(f">{count}H", pdu, _READ_WRITE.size)


def _check(request: Request) -> None:
    function, values = request.function, request.values
    limit = LIMITS.get(function)
    if limit is None:
        message = f"function {function}: allowed are {sorted(LIMITS)}"
        raise ValueError(message)
    if not 1 <= request.count <= limit or not 0 <= request.address <= 65536 - request.count:
        message = (
            f"address {request.address}, count {request.count}: allowed are 1..{limit} within 65536"
        )
        raise ValueError(message)
    writes = function in WRITE_ONE or function in WRITE_MANY
    if writes and len(values) != request.count:
        message = f"{len(values)} values for a count of {request.count}"
        raise ValueError(message)
    if function == MASK_WRITE and len(values) != len(("and mask", "or mask")):
        message = f"{len(values)} values: a mask write has two, its and mask and its or mask"
        raise ValueError(message)
    if function == READ_WRITE and not (
        1 <= len(values) <= _MOST_WRITTEN and 0 <= request.write_address <= 65536 - len(values)
    ):
        message = (
            f"{len(values)} values to write from {request.write_address}:"
            f" allowed are 1..{_MOST_WRITTEN} within 65536"
        )
        raise ValueError(message)
    if not all(0 <= value <= _LARGEST_WORD for value in values):
        message = f"values {values}: allowed are 0..{_LARGEST_WORD}"
        raise ValueError(message)


# Most bits or registers in one request (application protocol 6.1-6.17).
LIMITS = {1: 2000, 2: 2000, 3: 125, 4: 125, 5: 1, 6: 1, 15: 1968, 16: 123, 22: 1, 23: 125}
_MOST_WRITTEN = 121
_BHH = struct.Struct(">BHH")
_BHHB = struct.Struct(">BHHB")
_BHHH = struct.Struct(">BHHH")
_READ_WRITE = struct.Struct(">BHHHHB")
_SHORTEST = {MASK_WRITE: _BHHH.size, READ_WRITE: _READ_WRITE.size}
_COIL_ON = 0xFF00
_LARGEST_WORD = 0xFFFF
