"""The cloud's side of the delivery protocol, one lane of one gateway, as pure decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from protocols.delivery.envelope import GENESIS, Envelope
from protocols.delivery.messages import LaneReport

CREDIT: Final = 128
# Live batches are sent before a backlog: six weeks of it, sealed once a minute, lie between them.
WINDOW: Final = 65_536


@dataclass(frozen=True)
class Ahead:
    """A batch past the watermark that waits for the ones before it."""

    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True)
class LaneState:
    """One epoch of a lane: everything up to `through` is stored and its chain is checked."""

    epoch: int
    through: int = 0
    hash_through: bytes = GENESIS
    fenced: bool = False
    ahead: Mapping[int, Ahead] = field(default_factory=dict)


class Fate(Enum):
    """What becomes of a batch."""

    STORE = "store"
    KNOWN = "known"
    OUTSIDE_WINDOW = "outside_window"
    FENCE = "fence"
    FENCED = "fenced"


@dataclass(frozen=True)
class Known:
    """What the store holds already: payload hash of this batch id, envelope hash of this seq."""

    payload_hash: bytes | None = None
    envelope_hash: bytes | None = None


@dataclass(frozen=True)
class Verdict:
    """The fate of a batch, the lane after it, and why where it was refused."""

    fate: Fate
    state: LaneState
    reason: str = ""


def judge(state: LaneState, envelope: Envelope, payload_hash: bytes, known: Known) -> Verdict:
    """Decide a batch of this lane's epoch whose own hash has been checked."""
    if state.fenced:
        return Verdict(Fate.FENCED, state, "the epoch is fenced")
    if known.payload_hash is not None and known.payload_hash != payload_hash:
        return _fence(state, "a batch id came with other bytes")
    if known.envelope_hash is not None and known.envelope_hash != envelope.hash:
        return _fence(state, "a sequence number came with another hash")
    if envelope.seq <= state.through:
        if known.payload_hash is None:
            return _fence(state, "an unknown batch at or below the watermark")
        return Verdict(Fate.KNOWN, state)
    if envelope.seq > state.through + WINDOW:
        return Verdict(Fate.OUTSIDE_WINDOW, state, "past the window")
    ahead = dict(state.ahead)
    ahead[envelope.seq] = Ahead(envelope.prev_hash, envelope.hash)
    moved = _advance(replace(state, ahead=ahead))
    if moved is None:
        return _fence(state, "the chain is broken")
    return Verdict(Fate.STORE if known.payload_hash is None else Fate.KNOWN, moved)


def needed_generation(own: int, through: int, report: LaneReport) -> int:
    """Return the generation to hold before a HELLO is answered.

    A cloud that knows less than the gateway remembers was restored from an older copy, and
    says so by a number higher than any seen.
    """
    if own < report.generation or through < report.acked:
        return max(own, report.generation) + 1
    return own


def have(state: LaneState) -> list[tuple[int, int]]:
    """Return the stored batches past the watermark as closed intervals."""
    intervals: list[tuple[int, int]] = []
    for seq in sorted(state.ahead):
        if intervals and intervals[-1][1] == seq - 1:
            intervals[-1] = (intervals[-1][0], seq)
        else:
            intervals.append((seq, seq))
    return intervals


def _fence(state: LaneState, reason: str) -> Verdict:
    return Verdict(Fate.FENCE, replace(state, fenced=True), reason)


def _advance(state: LaneState) -> LaneState | None:
    ahead = dict(state.ahead)
    through, digest = state.through, state.hash_through
    while (following := ahead.pop(through + 1, None)) is not None:
        if following.prev_hash != digest:
            return None
        through, digest = through + 1, following.hash
    return replace(state, through=through, hash_through=digest, ahead=ahead)
