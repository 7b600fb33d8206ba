"""The gateway's side of the delivery protocol, one lane, as a pure state machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import islice
from typing import Final

FIRST_RESEND_S: Final = 5.0
LAST_RESEND_S: Final = 60.0
# What a cloud takes beyond its watermark if it does not say.
LEAST_WINDOW: Final = 512
# One part in this many of the credit stays for the backlog while there is news.
BACKLOG_SHARE: Final = 4


@dataclass(frozen=True)
class Flight:
    """A batch on its way: when to send it again, and how often it was sent."""

    resend_at_s: float
    sent: int


@dataclass(frozen=True)
class SenderState:
    """What the gateway knows of one lane: batches `first` .. `next` - 1 are in its journal.

    The cloud said at `held_at_s` that it has those of `held` beyond its watermark: it is believed
    for a while, because a cloud put back to an older copy may have them no longer.

    Those from `live` on were sealed in this session: they go before the backlog, as far as the
    cloud's `window` past its watermark reaches, so that pages live while an outage is made up for.
    """

    lane: int
    epoch: int
    first: int
    next: int
    acked: int
    generation: int
    credit: int = 1
    connected: bool = False
    window: int = LEAST_WINDOW
    live: int = 1
    held: frozenset[int] = frozenset()
    held_at_s: float = 0.0
    flights: Mapping[int, Flight] = field(default_factory=dict)


@dataclass(frozen=True)
class Connected:
    """The broker took us; nothing on its way before is trusted."""


@dataclass(frozen=True)
class Disconnected:
    """The link to the broker is gone."""


@dataclass(frozen=True)
class Sealed:
    """The journal holds batches `first` .. `next` - 1."""

    next: int
    first: int = 0


@dataclass(frozen=True)
class Acknowledged:
    """An ACK for this lane; `own_hash` is our hash of `through`, None if we no longer hold it."""

    epoch: int
    through: int
    have: tuple[tuple[int, int], ...]
    hash_through: bytes
    own_hash: bytes | None
    generation: int
    credit: int
    window: int = LEAST_WINDOW


@dataclass(frozen=True)
class Fenced:
    """The cloud closed `epoch` for ever."""

    epoch: int


@dataclass(frozen=True)
class Poisoned:
    """The cloud put batch `seq` into quarantine; it need not be sent again."""

    epoch: int
    seq: int


@dataclass(frozen=True)
class Tick:
    """Time has passed, or there may be room to send."""


SenderEvent = Connected | Disconnected | Sealed | Acknowledged | Fenced | Poisoned | Tick


@dataclass(frozen=True)
class Send:
    """Publish batch `seq` of the current epoch."""

    seq: int


@dataclass(frozen=True)
class Release:
    """Every batch up to `through` is the cloud's; keep it for the grace period only."""

    through: int
    generation: int


@dataclass(frozen=True)
class Rewind:
    """The cloud's watermark is `through` again: later batches count as not acknowledged."""

    through: int
    generation: int


@dataclass(frozen=True)
class NewEpoch:
    """Give everything retained new envelopes in a new epoch; ids and bytes stay."""

    reason: str


SenderEffect = Send | Release | Rewind | NewEpoch


class AckFate(Enum):
    """What an ACK means for a lane."""

    IGNORE = auto()
    AHEAD = auto()
    REWIND = auto()
    FORKED = auto()
    MOVE = auto()


def step(
    state: SenderState, event: SenderEvent, now_s: float, jitter: float = 0.0
) -> tuple[SenderState, tuple[SenderEffect, ...]]:
    """Return the next state and what to do; `jitter` in [0, 1) spreads the resends."""
    match event:
        case Connected():
            fresh = replace(state, credit=1, window=LEAST_WINDOW, held=frozenset(), flights={})
            return replace(fresh, connected=True, live=state.next), ()
        case Disconnected():
            return replace(state, connected=False, flights={}), ()
        case Sealed(next=after, first=first):
            return _fill(replace(state, next=after, first=max(first, state.first)), now_s, jitter)
        case Fenced(epoch=epoch):
            if epoch != state.epoch:
                return state, ()
            return state, (NewEpoch("fenced"),)
        case Poisoned(epoch=epoch, seq=seq):
            if epoch != state.epoch or not state.first <= seq < state.next:
                return state, ()
            return _fill(_hold(state, {seq}), now_s, jitter)
        case Acknowledged():
            return _acknowledge(state, event, now_s, jitter)
        case Tick():
            return _fill(state, now_s, jitter)


def judge(state: SenderState, ack: Acknowledged) -> AckFate:
    """Say what an ACK means: of a foreign epoch or an old generation, nothing."""
    if ack.epoch != state.epoch or ack.generation < state.generation:
        return AckFate.IGNORE
    if ack.through >= state.next:
        return AckFate.AHEAD
    if ack.through > 0 and ack.own_hash is not None and ack.own_hash != ack.hash_through:
        return AckFate.FORKED
    if ack.through > 0 and ack.own_hash is None and ack.through >= state.first:
        return AckFate.IGNORE
    if ack.generation > state.generation or ack.through < state.acked:
        return AckFate.REWIND
    return AckFate.MOVE


def _acknowledge(
    state: SenderState, ack: Acknowledged, now_s: float, jitter: float
) -> tuple[SenderState, tuple[SenderEffect, ...]]:
    fate = judge(state, ack)
    if fate is AckFate.IGNORE:
        return state, ()
    if fate is AckFate.AHEAD:
        return state, (NewEpoch("the cloud is ahead of us"),)
    if fate is AckFate.FORKED:
        # a twin, or we are an older copy: the cloud fences the epoch when it sees our version
        return state, (Send(ack.through),)
    through, generation = ack.through, ack.generation
    if fate is AckFate.REWIND:
        if through + 1 < state.first:
            # the cloud asks for batches that grace has dropped: only a new epoch can go on
            return state, (NewEpoch("the cloud asks for batches we no longer hold"),)
        moved = replace(state, held=frozenset(), flights={})
        effects: tuple[SenderEffect, ...] = (Rewind(through, generation),)
    else:
        moved = state
        effects = (Release(through, generation),) if through > state.acked else ()
    moved = replace(
        moved,
        acked=through,
        generation=generation,
        credit=max(1, ack.credit),
        window=max(1, ack.window),
    )
    if now_s - moved.held_at_s >= LAST_RESEND_S:
        # not at each ACK: one that comes late knows less than we were told
        moved = replace(moved, held=frozenset(), held_at_s=now_s)
    held = {
        seq
        for low, high in ack.have
        for seq in range(max(low, through + 1), min(high + 1, moved.next))
    }
    moved, sends = _fill(_hold(moved, held), now_s, jitter)
    return moved, effects + sends


def _hold(state: SenderState, more: set[int]) -> SenderState:
    held = frozenset(seq for seq in state.held | more if state.acked < seq < state.next)
    flights = {
        seq: flight
        for seq, flight in state.flights.items()
        if seq > state.acked and seq not in held
    }
    return replace(state, held=held, flights=flights)


def _fill(
    state: SenderState, now_s: float, jitter: float
) -> tuple[SenderState, tuple[SenderEffect, ...]]:
    if not state.connected:
        return state, ()
    flights = dict(state.flights)
    sends: list[SenderEffect] = []
    for seq, flight in sorted(flights.items()):
        if flight.resend_at_s <= now_s:
            flights[seq] = Flight(now_s + _delay_s(flight.sent, jitter), flight.sent + 1)
            sends.append(Send(seq))
    for seq in _wanted(state, flights):
        flights[seq] = Flight(now_s + _delay_s(0, jitter), 1)
        sends.append(Send(seq))
    return replace(state, flights=flights), tuple(sends)


def _wanted(state: SenderState, flights: Mapping[int, Flight]) -> list[int]:
    """The batches to send now: news first, but never all of the credit while there is a backlog."""
    room = state.credit - len(flights)
    if room <= 0:
        return []
    oldest = max(state.acked + 1, state.first)
    live = max(state.live, oldest)
    end = min(state.next, state.acked + state.window + 1)

    def unsent(start: int, stop: int, most: int) -> list[int]:
        fresh = (seq for seq in range(start, stop) if seq not in flights and seq not in state.held)
        return list(islice(fresh, most))

    backlog = unsent(oldest, min(live, end), room)
    on_their_way = sum(seq < live for seq in flights)
    kept = min(len(backlog), max(0, state.credit // BACKLOG_SHARE - on_their_way))
    news = unsent(live, end, max(0, room - kept))
    return news + backlog[: room - len(news)]


def _delay_s(sent: int, jitter: float) -> float:
    return float(min(LAST_RESEND_S, FIRST_RESEND_S * 2.0**sent)) * (1.0 + 0.5 * jitter)
