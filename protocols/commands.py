"""Commands 指令: signed, bound to a session, expiring, each acted upon at most once (pure).

A gateway takes a command only if its own trusted key signed it, for this gateway, in answer to one
of its last HELLOs, with a counter above all before it, and if by the latest that the cloud's time
can be it has not expired. When in doubt it refuses. What it takes goes through the stages of
`TRANSITIONS`: on disk before the act, so that a crash in between is told as unknown and never
repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from protocols.delivery.messages import Count, Name
from protocols.errors import WireError

DOMAIN: Final = "hutong-cmd-1"
MOST_PULSE_MS: Final = 10_000
# two HELLOs without an answer, and nothing is known of the cloud's time
HEARD_FOR_US: Final = 150_000_000


class Action(StrEnum):
    """What a gateway may be asked to do."""

    OPEN_DOOR = "open_door"  # 开门
    PULSE = "pulse"  # 继电器点动
    OPEN_VALVE = "open_valve"  # 开阀
    CLOSE_VALVE = "close_valve"  # 关阀
    SWITCH_ON = "switch_on"  # 合闸
    SWITCH_OFF = "switch_off"  # 拉闸
    READ_NOW = "read_now"  # 立即抄表
    TAKE_SNAPSHOT = "take_snapshot"  # 抓拍
    RELOAD_CONFIG = "reload_config"  # 重载配置


# seconds after it was signed: whoever stands before a door has gone by then
LIFETIME_S: Final[Mapping[Action, int]] = {
    Action.OPEN_DOOR: 10,
    Action.PULSE: 10,
    Action.OPEN_VALVE: 30,
    Action.CLOSE_VALVE: 30,
    Action.SWITCH_ON: 30,
    Action.SWITCH_OFF: 30,
    Action.READ_NOW: 60,
    Action.TAKE_SNAPSHOT: 60,
    Action.RELOAD_CONFIG: 60,
}


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks one gateway to do to one of its devices (`target`, empty for itself).

    `counter` grows with every command, `expires_us` is in the cloud's time, `pulse_ms` is how long
    a relay or a door strike is held, 0 for as long as the device itself does.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    gateway: Name
    target: Name
    action: Action
    nonce: Name
    counter: Count
    expires_us: Count
    actor: Name
    pulse_ms: Annotated[int, msgspec.Meta(ge=0, le=MOST_PULSE_MS)] = 0
    dry_run: bool = False
    signature: bytes = b""


class Reason(StrEnum):
    """Why a gateway refuses."""

    NOT_READABLE = "not readable"
    OTHER_GATEWAY = "for another gateway"
    UNSIGNED = "not signed by the key that is trusted"
    FROZEN = "commands are frozen: a clone is suspected"
    OTHER_SESSION = "for another session"
    REPEATED = "not newer than the last one"
    NO_TIME = "the cloud's time is not known"
    LATE = "expired"
    TOO_LONG = "lives longer than its action may"
    NO_SUCH_TARGET = "no such device"
    NOT_ALLOWED = "this device may not be asked for it"


@dataclass(frozen=True)
class Refused:
    """A command that is not acted upon; the id is empty where nothing could be read."""

    reason: Reason
    id: str = ""


@dataclass(frozen=True)
class Heard:
    """The cloud's time `server_us`, stamped between two monotonic instants of the gateway.

    A HELLO was sent at `asked_us`, its answer with the stamp came at `heard_us`.
    """

    server_us: int
    asked_us: int
    heard_us: int

    def latest_us(self, now_us: int) -> int:
        """Return what the cloud's time is at most."""
        return self.server_us + now_us - self.asked_us


@dataclass(frozen=True)
class Standing:
    """What a gateway knows when a command comes in.

    `key` is the raw public key that it trusts, None while it was told none; `nonces` are those of
    its last HELLOs; `targets` names the actions that its own configuration allows of each device.
    """

    gateway: str
    key: bytes | None
    nonces: tuple[str, ...]
    counter: int
    heard: Heard | None
    targets: Mapping[str, frozenset[Action]]
    frozen: bool = False


class Stage(StrEnum):
    """How far a command has come at its gateway."""

    RECEIVED = "received"
    VALID = "valid"
    JOURNALED = "journaled"
    ACTED = "acted"
    REPORTED = "reported"


class Happening(StrEnum):
    """What moves a command on."""

    JUDGED_GOOD = "judged good"
    JUDGED_BAD = "judged bad"
    WRITTEN = "written"
    DONE = "done"
    FAILED = "failed"
    RESTARTED = "restarted"
    SEALED = "sealed"


class Outcome(StrEnum):
    """What is reported of a command."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Move:
    """Where a happening leads, and what is reported of it, if anything is."""

    to: Stage
    outcome: Outcome | None = None


TRANSITIONS: Final[Mapping[tuple[Stage, Happening], Move]] = {
    (Stage.RECEIVED, Happening.JUDGED_GOOD): Move(Stage.VALID),
    (Stage.RECEIVED, Happening.JUDGED_BAD): Move(Stage.ACTED, Outcome.REFUSED),
    (Stage.VALID, Happening.WRITTEN): Move(Stage.JOURNALED),
    # nothing was written, so nothing was done: the cloud hears of no result
    (Stage.VALID, Happening.RESTARTED): Move(Stage.REPORTED),
    (Stage.JOURNALED, Happening.DONE): Move(Stage.ACTED, Outcome.DONE),
    (Stage.JOURNALED, Happening.FAILED): Move(Stage.ACTED, Outcome.FAILED),
    # whether it was done nobody knows, and it is never done again
    (Stage.JOURNALED, Happening.RESTARTED): Move(Stage.ACTED, Outcome.UNKNOWN),
    (Stage.ACTED, Happening.SEALED): Move(Stage.REPORTED),
}


def sign(key: Ed25519PrivateKey, command: Command) -> Command:
    """Return a command with its signature."""
    return msgspec.structs.replace(command, signature=key.sign(signed_bytes(command)))


def signed_bytes(command: Command) -> bytes:
    """Return what is signed: MessagePack of the domain and of every field, in their order."""
    fields = msgspec.structs.astuple(command)[:-1]
    return msgspec.msgpack.encode((DOMAIN, *fields))


def pack(command: Command) -> bytes:
    """Return a command as JSON."""
    return msgspec.json.encode(command)


def unpack(raw: bytes) -> Command:
    """Return a command; WireError if it is none."""
    try:
        return msgspec.json.decode(raw, type=Command)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{len(raw)} bytes are no command: {error}"
        raise WireError(message) from error


def judge(raw: bytes, standing: Standing, *, now_us: int) -> Command | Refused:
    """Return a command that may be acted upon at a monotonic instant, or why it may not."""
    try:
        command = unpack(raw)
    except WireError:
        return Refused(Reason.NOT_READABLE)
    for reason, is_so in (
        (Reason.OTHER_GATEWAY, command.gateway != standing.gateway),
        (Reason.UNSIGNED, not _is_signed(command, standing.key)),
        (Reason.FROZEN, standing.frozen),
        (Reason.OTHER_SESSION, command.nonce not in standing.nonces),
        (Reason.REPEATED, command.counter <= standing.counter),
    ):
        if is_so:
            return Refused(reason, command.id)
    late = _untimely(command, standing.heard, now_us)
    wrong = late or _improper(command, standing.targets)
    return Refused(wrong, command.id) if wrong else command


def move(stage: Stage, happening: Happening) -> Move:
    """Return where a happening leads a command; WireError where it cannot happen."""
    found = TRANSITIONS.get((stage, happening))
    if found is None:
        message = f"a command that is {stage} cannot be {happening}"
        raise WireError(message)
    return found


def _is_signed(command: Command, key: bytes | None) -> bool:
    if key is None:
        return False
    try:
        public = Ed25519PublicKey.from_public_bytes(key)
        public.verify(command.signature, signed_bytes(command))
    except (InvalidSignature, ValueError):
        return False
    return True


def _untimely(command: Command, heard: Heard | None, now_us: int) -> Reason | None:
    if heard is None or not 0 <= now_us - heard.heard_us <= HEARD_FOR_US:
        return Reason.NO_TIME
    # it was signed no later than now: a cloud's answer that took its time must not make what is
    # fresh look as if it lived too long
    lives_us = command.expires_us - heard.latest_us(now_us)
    if lives_us < 0:
        return Reason.LATE
    return Reason.TOO_LONG if lives_us > LIFETIME_S[command.action] * 1_000_000 else None


def _improper(command: Command, targets: Mapping[str, frozenset[Action]]) -> Reason | None:
    allowed = targets.get(command.target)
    if allowed is None:
        return Reason.NO_SUCH_TARGET
    return None if command.action in allowed else Reason.NOT_ALLOWED
