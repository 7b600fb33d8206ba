"""What bytes on a Modbus line or connection are: found, read and judged against their request."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from protocols.errors import DeviceError, WireError
from protocols.modbus.explain import explain_reply, explain_request
from protocols.modbus.identification import (
    ENCAPSULATED,
    Identify,
    match_identification,
    parse_identify_pdu,
)
from protocols.modbus.replies import match_pdu, parse_reply_pdu
from protocols.modbus.requests import Request, parse_request_pdu, request_pdu
from protocols.modbus.search import Found, rtu_fault, rtu_frames, tcp_fault, tcp_frames
from protocols.verdict import REQUEST, RESPONSE, Kind, Verdict, reject, surroundings


@dataclass(frozen=True, slots=True)
class _Asked:
    """The request that an answer is judged against."""

    question: Request | Identify
    transaction_id: int | None


def judge_rtu(buffer: bytes, *, kind: Kind | None = None, request: bytes | None = None) -> Verdict:
    """The verdict on bytes of an RTU line (or of RTU over TCP); `request` is the frame sent."""
    return _judge(buffer, kind, request, search=rtu_frames, diagnose=rtu_fault)


def judge_tcp(buffer: bytes, *, kind: Kind | None = None, request: bytes | None = None) -> Verdict:
    """The verdict on bytes of a Modbus TCP connection; `request` is the frame sent."""
    return _judge(buffer, kind, request, search=tcp_frames, diagnose=tcp_fault)


def _judge(
    buffer: bytes,
    kind: Kind | None,
    request: bytes | None,
    *,
    search: Callable[[bytes, tuple[Kind, ...]], Iterator[Found]],
    diagnose: Callable[[bytes, tuple[Kind, ...]], str],
) -> Verdict:
    asked = None
    kinds: tuple[Kind, ...] = (REQUEST, RESPONSE) if kind is None else (kind,)
    if request is not None:
        if kind == REQUEST:
            return reject("kind: 'request' with a request given: only a response can be judged")
        kinds = (RESPONSE,)
        asked = _asked(next(search(request, (REQUEST,)), None), request)
        if asked is None:
            return reject(f"request: no frame: {diagnose(request, (REQUEST,))}")
        if asked.transaction_id is None and asked.question.unit_id == 0:
            return reject("request: to unit 0, a broadcast that nobody answers")
    fault = ""
    for found in search(buffer, kinds):
        length = found.end - found.start
        if request and length < len(request) and buffer[found.start :].startswith(request):
            # An adapter heard itself: the head of a request may pass for a shorter reply.
            continue
        try:
            verdict = _verdict(found, asked)
        except WireError as error:
            fault = fault or str(error)
            continue
        note = surroundings(buffer, found.start, found.end)
        return replace(verdict, reason=verdict.reason + note)
    return reject(fault or diagnose(buffer, kinds))


def _asked(found: Found | None, request: bytes) -> _Asked | None:
    if found is None or (found.start, found.end) != (0, len(request)):
        return None
    try:
        if found.pdu[0] == ENCAPSULATED:
            question: Request | Identify = parse_identify_pdu(found.unit_id, found.pdu)
        else:
            question = _request_of(found)
    except WireError:
        return None
    return _Asked(question, found.transaction_id)


def _verdict(found: Found, asked: _Asked | None) -> Verdict:
    if asked is not None:
        _match(found, asked)
    if found.kind == RESPONSE:
        question = None if asked is None else asked.question
        verdict = explain_reply(found.unit_id, found.pdu, question)
    elif found.pdu[0] == ENCAPSULATED:
        verdict = explain_request(parse_identify_pdu(found.unit_id, found.pdu))
    else:
        verdict = explain_request(_request_of(found))
        if _is_reply(found.pdu):
            verdict = replace(verdict, reason=f"{verdict.reason}, or the echo that confirms it")
    if found.transaction_id is not None:
        fields = {"transaction_id": found.transaction_id, **verdict.fields}
        verdict = replace(verdict, fields=fields)
    return verdict


def _match(found: Found, asked: _Asked) -> None:
    if asked.transaction_id != found.transaction_id:
        message = f"answer to transaction {found.transaction_id}, asked was {asked.transaction_id}"
        raise WireError(message)
    question = asked.question
    if found.unit_id != question.unit_id:
        message = f"answer of unit {found.unit_id}, asked was {question.unit_id}"
        raise WireError(message)
    try:
        if isinstance(question, Identify):
            match_identification(found.pdu, question)
        else:
            match_pdu(found.pdu, question)
    except DeviceError:
        # a refusal is a right answer; explain_reply says which
        return


def _request_of(found: Found) -> Request:
    try:
        request = parse_request_pdu(found.unit_id, found.pdu)
        size = len(request_pdu(request))
    except DeviceError as error:
        message = f"a request that devices refuse with exception {error.code:02d}: {error}"
        raise WireError(message) from error
    except ValueError as error:
        raise WireError(str(error)) from error
    if len(found.pdu) != size:
        message = (
            f"request of {len(found.pdu)} bytes to function {request.function}, must be {size}"
        )
        raise WireError(message)
    return request


def _is_reply(pdu: bytes) -> bool:
    try:
        parse_reply_pdu(pdu)
    except WireError:
        return False
    return True
