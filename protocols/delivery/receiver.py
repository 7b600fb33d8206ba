"""The cloud's side of the delivery protocol, one lane of one gateway, as pure decisions.

What becomes of a batch is decided by the first of `RULES` that holds.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from protocols.delivery.envelope import GENESIS, Envelope
from protocols.delivery.messages import LaneReport

CREDIT: Final = 128
# Live batches are sent before a backlog: six weeks of it, sealed once a minute, lie between them.
WINDOW: Final = 65_536


class Ahead(NamedTuple):
    """A batch past the watermark that waits for the ones before it."""

    prev_hash: bytes
    hash: bytes


class LaneState(Struct, frozen=True):
    """One epoch of a lane: everything up to `through` is stored and its chain is checked."""

    epoch: int
    through: int = 0
    hash_through: bytes = GENESIS
    fenced: bool = False
    ahead: Mapping[int, Ahead] = {}


class Fate(Enum):
    """What becomes of a batch."""

    STORE = "store"
    KNOWN = "known"
    OUTSIDE_WINDOW = "outside_window"
    FENCE = "fence"
    FENCED = "fenced"


class Known(NamedTuple):
    """What the store holds already: payload hash of this batch id, envelope hash of this seq."""

    payload_hash: bytes | None = None
    envelope_hash: bytes | None = None


class Case(NamedTuple):
    """A batch whose own hash has been checked, and all that its fate depends on."""

    state: LaneState
    envelope: Envelope
    payload_hash: bytes
    known: Known


class Verdict(NamedTuple):
    """The fate of a batch, the lane after it, and why: the name of the rule that decided."""

    fate: Fate
    state: LaneState
    reason: str


class Rule(NamedTuple):
    """A batch of which `holds` is true has this `fate`."""

    name: str
    holds: Callable[[Case], bool]
    fate: Fate


def _is_below(case: Case) -> bool:
    return case.envelope.seq <= case.state.through


RULES: Final[tuple[Rule, ...]] = (
    Rule("the epoch is fenced", lambda case: case.state.fenced, Fate.FENCED),
    Rule(
        "a batch id came with other bytes",
        lambda case: case.known.payload_hash not in (None, case.payload_hash),
        Fate.FENCE,
    ),
    Rule(
        "a sequence number came with another hash",
        lambda case: case.known.envelope_hash not in (None, case.envelope.hash),
        Fate.FENCE,
    ),
    Rule(
        "an unknown batch at or below the watermark",
        lambda case: _is_below(case) and case.known.payload_hash is None,
        Fate.FENCE,
    ),
    Rule("a known batch at or below the watermark", _is_below, Fate.KNOWN),
    Rule(
        "past the window",
        lambda case: case.envelope.seq > case.state.through + WINDOW,
        Fate.OUTSIDE_WINDOW,
    ),
    Rule("the chain is broken", lambda case: not _is_linked(case), Fate.FENCE),
    Rule("a known batch", lambda case: case.known.payload_hash is not None, Fate.KNOWN),
    Rule("a new batch", lambda _: True, Fate.STORE),
)


def judge(state: LaneState, envelope: Envelope, payload_hash: bytes, known: Known) -> Verdict:
    """Decide a batch of this lane's epoch whose own hash has been checked."""
    case = Case(state, envelope, payload_hash, known)
    name, _, fate = next(rule for rule in RULES if rule.holds(case))
    return Verdict(fate, TRANSITIONS[fate](case), name)


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


def _is_linked(case: Case) -> bool:
    # held against its neighbours as it comes: what waits is a chain wherever it touches
    state, envelope = case.state, case.envelope
    seq = envelope.seq
    before = state.hash_through if seq == state.through + 1 else _hash_of(state.ahead.get(seq - 1))
    after = state.ahead.get(seq + 1)
    return before in (None, envelope.prev_hash) and (
        after is None or after.prev_hash == envelope.hash
    )


def _hash_of(place: Ahead | None) -> bytes | None:
    return None if place is None else place.hash


def _stay(case: Case) -> LaneState:
    return case.state


def _fence(case: Case) -> LaneState:
    return replace(case.state, fenced=True)


def _place(case: Case) -> LaneState:
    state, envelope = case.state, case.envelope
    if envelope.seq <= state.through:
        return state
    ahead = dict(state.ahead)
    ahead[envelope.seq] = Ahead(envelope.prev_hash, envelope.hash)
    through, digest = state.through, state.hash_through
    while (following := ahead.pop(through + 1, None)) is not None:
        through, digest = through + 1, following.hash
    return replace(state, through=through, hash_through=digest, ahead=ahead)


TRANSITIONS: Final[Mapping[Fate, Callable[[Case], LaneState]]] = {
    Fate.STORE: _place,
    Fate.KNOWN: _place,
    Fate.OUTSIDE_WINDOW: _stay,
    Fate.FENCE: _fence,
    Fate.FENCED: _stay,
}
