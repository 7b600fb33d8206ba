"""What one right Modbus PDU says, as a verdict that people read."""

from collections.abc import Sequence

from protocols.modbus.identification import (
    ACCESS,
    ENCAPSULATED,
    OBJECTS,
    Identification,
    Identify,
    parse_identification_pdu,
)
from protocols.modbus.replies import EXCEPTIONS, Reply, parse_reply_pdu
from protocols.modbus.requests import (
    MASK_WRITE,
    READ_BITS,
    READ_WRITE,
    WRITE_COIL,
    WRITE_COILS,
    Request,
)
from protocols.verdict import REQUEST, RESPONSE, Field, Verdict

FUNCTIONS = {
    1: "read coils",
    2: "read discrete inputs",
    3: "read holding registers",
    4: "read input registers",
    5: "write one coil",
    6: "write one register",
    15: "write coils",
    16: "write registers",
    22: "mask write register",
    23: "read/write registers",
    43: "encapsulated transport",
}


def explain_request(request: Request | Identify) -> Verdict:
    """The verdict that accepts a request."""
    if isinstance(request, Identify):
        fields: dict[str, Field] = {
            "kind": REQUEST,
            "sub_function": 14,
            "access": ACCESS[request.access],
            "object_id": request.object_id,
        }
        reason = "request: 43/14 read device identification"
        return Verdict("accept", reason, request.unit_id, ENCAPSULATED, fields=fields)
    function, values = request.function, request.values
    fields = {"kind": REQUEST, "address": request.address, "count": request.count}
    words = values
    if function in (WRITE_COIL, WRITE_COILS):
        fields["bits"] = list(values)
        words = ()
    elif function == MASK_WRITE:
        fields |= _masks(values)
    elif function == READ_WRITE:
        fields |= {"write_address": request.write_address, "write_count": len(values)}
    reason = f"request: {FUNCTIONS[function]}"
    return Verdict("accept", reason, request.unit_id, function, None, _hex(words), fields)


def explain_reply(unit_id: int, pdu: bytes, asked: Request | Identify | None) -> Verdict:
    """The verdict on a reply, `asked` if it was judged against that request; WireError."""
    told = "response" if asked is None else "response to the request"
    function = pdu[0] & 0x7F if pdu else 0
    if len(pdu) == len(("function", "code")) and pdu[0] & 0x80 and function in FUNCTIONS:
        name = EXCEPTIONS.get(pdu[1], "a code the standard does not name")
        fields: dict[str, Field] = {"kind": RESPONSE, "exception_name": name}
        reason = f"{told}: function {function} refused with exception {pdu[1]:02d}, {name}"
        return Verdict("exception", reason, unit_id, function, pdu[1], fields=fields)
    if function == ENCAPSULATED and not pdu[0] & 0x80:
        answer = parse_identification_pdu(pdu)
        reason = f"{told}: 43/14 read device identification"
        return Verdict("accept", reason, unit_id, function, fields=_identification(answer))
    reply = parse_reply_pdu(pdu)
    fields = _placed(reply)
    if isinstance(asked, Request):
        fields |= {"address": asked.address, "count": asked.count}
        if function in READ_BITS:
            fields["bits"] = list(reply.bits[: asked.count])
    reason = f"{told}: {FUNCTIONS[function]}"
    return Verdict("accept", reason, unit_id, function, None, _hex(reply.words), fields)


def _placed(reply: Reply) -> dict[str, Field]:
    fields: dict[str, Field] = {"kind": RESPONSE}
    if reply.address is not None:
        fields |= {"address": reply.address, "count": reply.count}
    if reply.bits:
        fields["bits"] = list(reply.bits)
    if reply.function == MASK_WRITE:
        fields |= _masks(reply.words)
    return fields


def _masks(values: Sequence[int]) -> dict[str, Field]:
    return {"and_mask": f"{values[0]:04x}", "or_mask": f"{values[1]:04x}"}


def _identification(answer: Identification) -> dict[str, Field]:
    objects = [
        {
            "object": OBJECTS.get(key, f"object {key}"),
            "text": value.decode("ascii", "backslashreplace"),
        }
        for key, value in answer.objects
    ]
    return {
        "kind": RESPONSE,
        "sub_function": 14,
        "access": ACCESS[answer.access],
        "conformity": f"{answer.conformity:02x}",
        "next_object_id": answer.next_object_id,
        "objects": objects,
    }


def _hex(words: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{word:04x}" for word in words)
