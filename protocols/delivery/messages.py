"""The small JSON messages beside the batches: HELLO, ACK, FENCE, NACK."""

from typing import Annotated, Literal

import msgspec

from protocols.errors import WireError

_COUNT_MAX = (1 << 62) - 1

# what a receiver can keep: signed 64-bit columns, names of 64 characters
Count = Annotated[int, msgspec.Meta(ge=0, le=_COUNT_MAX)]
Lane = Annotated[int, msgspec.Meta(ge=0, le=1)]
Name = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\x00]*\Z")]
HashText = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class LaneReport(msgspec.Struct, frozen=True):
    """A lane as its gateway sees it; `first` is the oldest batch it still holds."""

    lane: Lane
    epoch: int
    first: Count
    next: Count
    acked: Count
    generation: Count

    def __post_init__(self) -> None:
        """ValueError if the epoch is no 64-bit number above 0."""
        if not 0 < self.epoch < 1 << 64:
            message = f"epoch {self.epoch}: allowed are 64-bit numbers above 0"
            raise ValueError(message)


class Hello(msgspec.Struct, frozen=True):
    """A gateway introduces itself, at connect and every minute."""

    install_id: Name
    boot_id: Name
    firmware: Name
    nonce: Name
    lanes: Annotated[list[LaneReport], msgspec.Meta(max_length=2)]


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """The cloud holds every batch up to `through`, and those in `have`, durably.

    It takes batches up to `window` past `through`, and `credit` at a time. `hello` is the nonce of
    the HELLO that it answers, if it answers one: `server_time` was stamped after that was sent.
    """

    lane: Lane
    epoch: int
    through: Count
    have: list[tuple[Count, Count]]
    hash_through: HashText
    generation: Count
    credit: Count
    server_time: int
    window: Count = 512
    hello: Name = ""


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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{len(raw)} bytes are no HELLO: {error}"
        raise WireError(message) from error


def unpack_answer(raw: bytes) -> Answer:
    """Return an ACK, FENCE or NACK; WireError if it is none."""
    try:
        answer: Answer = msgspec.json.decode(raw, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{len(raw)} bytes are no answer of the cloud: {error}"
        raise WireError(message) from error
    return answer
