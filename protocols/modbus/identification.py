"""Modbus function 43/14: who made this device, as asked and as answered."""

from dataclasses import dataclass

from protocols.errors import WireError
from protocols.modbus.replies import check_answers

ENCAPSULATED = 43
IDENTIFICATION = 14
ACCESS = {1: "basic", 2: "regular", 3: "extended", 4: "one object"}
OBJECTS = {
    0: "vendor_name",
    1: "product_code",
    2: "revision",
    3: "vendor_url",
    4: "product_name",
    5: "model_name",
    6: "user_application_name",
}


@dataclass(frozen=True, slots=True)
class Identify:
    """The question: objects of one `access` level from `object_id` on (only it for access 4)."""

    unit_id: int
    access: int = 1
    object_id: int = 0


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer: object ids with their bytes; `next_object_id` if more must be asked for."""

    access: int
    conformity: int
    objects: tuple[tuple[int, bytes], ...]
    next_object_id: int | None = None


def identify_pdu(question: Identify) -> bytes:
    """The question as a PDU; ValueError where the standard allows no such question."""
    if question.access not in ACCESS or not 0 <= question.object_id <= _LARGEST_BYTE:
        message = (
            f"access {question.access}, object {question.object_id}: allowed are 1..4 and 0..255"
        )
        raise ValueError(message)
    return bytes((ENCAPSULATED, IDENTIFICATION, question.access, question.object_id))


def parse_identify_pdu(unit_id: int, pdu: bytes) -> Identify:
    """The question of a PDU; WireError."""
    _check_kind(pdu)
    if len(pdu) != _QUESTION:
        message = f"request of {len(pdu)} bytes to function 43/14, must be {_QUESTION}"
        raise WireError(message)
    if pdu[2] not in ACCESS:
        message = f"access {pdu[2]}: allowed are 1..4"
        raise WireError(message)
    return Identify(unit_id, pdu[2], pdu[3])


def identification_pdu(answer: Identification) -> bytes:
    """The answer as a PDU; ValueError if it is longer than a PDU may be."""
    more = answer.next_object_id is not None
    head = (
        ENCAPSULATED,
        IDENTIFICATION,
        answer.access,
        answer.conformity,
        _LARGEST_BYTE if more else 0,
        answer.next_object_id or 0,
        len(answer.objects),
    )
    objects = (bytes((key, len(value))) + value for key, value in answer.objects)
    pdu = bytes(head) + b"".join(objects)
    if len(pdu) > _LONGEST_PDU:
        message = f"answer of {len(pdu)} bytes: allowed are {_LONGEST_PDU}; set next_object_id"
        raise ValueError(message)
    return pdu


def identification_length(pdu: bytes | bytearray) -> int | None:
    """Whole length of the answer PDU that begins here, None while it cannot be known."""
    if len(pdu) < _HEAD:
        return None
    length = _HEAD
    for _ in range(pdu[_HEAD - 1]):
        if len(pdu) < length + 2:
            return None
        length += 2 + pdu[length + 1]
    return length


def parse_identification_pdu(pdu: bytes) -> Identification:
    """The answer of a PDU; WireError."""
    _check_kind(pdu)
    length = identification_length(pdu)
    if length != len(pdu):
        message = (
            f"{len(pdu)} bytes of identification, its objects say {length or 'more than there are'}"
        )
        raise WireError(message)
    access, conformity, more, following, count = pdu[2:_HEAD]
    if access not in ACCESS or more not in (0, _LARGEST_BYTE):
        message = f"access {access}, more follows {more:#04x}: allowed are 1..4 and 00 or FF"
        raise WireError(message)
    objects = []
    place = _HEAD
    for _ in range(count):
        end = place + 2 + pdu[place + 1]
        objects.append((pdu[place], bytes(pdu[place + 2 : end])))
        place = end
    return Identification(access, conformity, tuple(objects), following if more else None)


def match_identification(pdu: bytes, question: Identify) -> Identification:
    """The answer to this very question; DeviceError if refused, WireError if it is another's."""
    check_answers(pdu, ENCAPSULATED, asked=f"unit {question.unit_id} refused function 43/14")
    answer = parse_identification_pdu(pdu)
    if answer.access != question.access:
        message = f"answer to access {answer.access}, asked was {question.access}"
        raise WireError(message)
    keys = [key for key, _ in answer.objects]
    if ACCESS[question.access] == "one object":
        if keys != [question.object_id]:
            message = f"answer with objects {keys}, asked was {question.object_id}"
            raise WireError(message)
    elif keys != sorted(set(keys)):
        message = f"objects {keys} are not in order"
        raise WireError(message)
    return answer


def _check_kind(pdu: bytes) -> None:
    if not pdu or pdu[0] != ENCAPSULATED:
        message = f"function {pdu[0] if pdu else 0}, not {ENCAPSULATED}"
        raise WireError(message)
    if len(pdu) > 1 and pdu[1] != IDENTIFICATION:
        message = f"sub-function 43/{pdu[1]}, not 43/{IDENTIFICATION}"
        raise WireError(message)


_HEAD = 7
_QUESTION = 4
_LARGEST_BYTE = 0xFF
_LONGEST_PDU = 253
