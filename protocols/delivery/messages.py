"""The small JSON messages beside the batches: HELLO, ACK, FENCE, NACK."""

from typing import Literal

import msgspec

from protocols.errors import WireError


class LaneReport(msgspec.Struct, frozen=True):
    """A lane as its gateway sees it; `first` is the oldest batch it still holds."""

    lane: int
    epoch: int
    first: int
    next: int
    acked: int
    generation: int


class Hello(msgspec.Struct, frozen=True):
    """A gateway introduces itself, at connect and every minute."""

    install_id: str
    boot_id: str
    firmware: str
    nonce: str
    lanes: list[LaneReport]


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """The cloud holds every batch up to `through`, and those in `have`, durably."""

    lane: int
    epoch: int
    through: int
    have: list[tuple[int, int]]
    hash_through: str
    generation: int
    credit: int
    server_time: int


class Fence(msgspec.Struct, frozen=True, tag="fence"):
    """This epoch is closed for ever; begin a new one."""

    lane: int
    epoch: int
    reason: str


class Nack(msgspec.Struct, frozen=True, tag="nack"):
    """A batch cannot be decoded; it is kept in quarantine and the lane goes on."""

    lane: int
    epoch: int
    seq: int
    code: Literal["poison"]


Answer = Ack | Fence | Nack


def pack(message: Hello | Answer) -> bytes:
    """Return a message as JSON."""
    return msgspec.json.encode(message)


def unpack_hello(raw: bytes) -> Hello:
    """Return a HELLO; WireError if it is none."""
    try:
        return msgspec.json.decode(raw, type=Hello)
    except msgspec.DecodeError as error:
        message = f"{len(raw)} bytes are no HELLO: {error}"
        raise WireError(message) from error


def unpack_answer(raw: bytes) -> Answer:
    """Return an ACK, FENCE or NACK; WireError if it is none."""
    try:
        answer: Answer = msgspec.json.decode(raw, type=Answer)
    except msgspec.DecodeError as error:
        message = f"{len(raw)} bytes are no answer of the cloud: {error}"
        raise WireError(message) from error
    return answer
