"""The gateway's side of the delivery protocol, one lane, as a pure state machine.

What an ACK means is decided by the first of `ACK_RULES` that holds; what happens then, and at every
other event, stands in `FATES` and `TRANSITIONS`.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from itertools import islice
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

FIRST_RESEND_S: Final = 5.0
LAST_RESEND_S: Final = 60.0
# What a cloud takes beyond its watermark if it does not say.
LEAST_WINDOW: Final = 512
# One part in this many of the credit stays for the backlog while there is news.
BACKLOG_SHARE: Final = 4
# why a new epoch begins where the cloud closed the old one
FENCED: Final = "fenced"


class Flight(NamedTuple):
    """A batch on its way: when to send it again, and how often it was sent."""

    resend_at_s: float
    sent: int


class SenderState(Struct, frozen=True):
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
    flights: Mapping[int, Flight] = {}


class Connected(Struct, frozen=True):
    """The broker took us; nothing on its way before is trusted."""


class Disconnected(Struct, frozen=True):
    """The link to the broker is gone."""


class Sealed(Struct, frozen=True):
    """The journal holds batches `first` .. `next` - 1."""

    next: int
    first: int = 0


class Acknowledged(Struct, frozen=True):
    """An ACK for this lane; `own_hash` is our hash of `through`, None if we no longer hold it."""

    epoch: int
    through: int
    have: tuple[tuple[int, int], ...]
    hash_through: bytes
    own_hash: bytes | None
    generation: int
    credit: int
    window: int = LEAST_WINDOW


class Fenced(Struct, frozen=True):
    """The cloud closed `epoch` for ever."""

    epoch: int


class Poisoned(Struct, frozen=True):
    """The cloud put batch `seq` into quarantine; it need not be sent again."""

    epoch: int
    seq: int


class Tick(Struct, frozen=True):
    """Time has passed, or there may be room to send."""


SenderEvent = Connected | Disconnected | Sealed | Acknowledged | Fenced | Poisoned | Tick


class Send(Struct, frozen=True):
    """Publish batch `seq` of the current epoch."""

    seq: int


class Release(Struct, frozen=True):
    """Every batch up to `through` is the cloud's; keep it for the grace period only."""

    through: int
    generation: int


class Rewind(Struct, frozen=True):
    """The cloud's watermark is `through` again: later batches count as not acknowledged."""

    through: int
    generation: int


class NewEpoch(Struct, frozen=True):
    """Give everything retained new envelopes in a new epoch; ids and bytes stay.

    Batches `gone` (first, last) of the old one are declared lost: neither side has them any more.
    """

    reason: str
    gone: tuple[int, int] | None = None


SenderEffect = Send | Release | Rewind | NewEpoch
Effects = tuple[SenderEffect, ...]
Step = tuple[SenderState, Effects]


class AckFate(Enum):
    """What an ACK means for a lane."""

    IGNORE = "nothing"
    SHOW = "our batch of that number is sent: the cloud fences the epoch when it sees both"
    AHEAD = "a new epoch"
    GONE = "a new epoch: only that can go on; a loss of what is missing is declared"
    REWIND = "everything beyond `through` counts as not acknowledged"
    MOVE = "the watermark moves, and there is room to send"


class AckRule(NamedTuple):
    """An ACK of which `holds` is true means `fate`."""

    name: str
    holds: Callable[[SenderState, Acknowledged], bool]
    fate: AckFate


def _goes_back(state: SenderState, ack: Acknowledged) -> bool:
    return ack.generation > state.generation or ack.through < state.acked


ACK_RULES: Final[tuple[AckRule, ...]] = (
    AckRule("of another epoch", lambda own, ack: ack.epoch != own.epoch, AckFate.IGNORE),
    AckRule(
        "of an older generation", lambda own, ack: ack.generation < own.generation, AckFate.IGNORE
    ),
    AckRule("beyond what we have", lambda own, ack: ack.through >= own.next, AckFate.AHEAD),
    AckRule(
        "with another hash than ours",
        lambda _, ack: ack.through > 0 and ack.own_hash not in (None, ack.hash_through),
        AckFate.SHOW,
    ),
    AckRule(
        "of a batch whose hash we should know and do not",
        lambda own, ack: ack.through > 0 and ack.own_hash is None and ack.through >= own.first,
        AckFate.IGNORE,
    ),
    AckRule(
        "of a new generation that asks for what we no longer hold",
        lambda own, ack: ack.generation > own.generation and ack.through + 1 < own.first,
        AckFate.GONE,
    ),
    # a late one, or the cloud is an older copy, and says so when it has heard our HELLO
    AckRule(
        "of our generation that asks for what we no longer hold",
        lambda own, ack: ack.through + 1 < own.first,
        AckFate.IGNORE,
    ),
    AckRule("that goes back", _goes_back, AckFate.REWIND),
    AckRule("any other", lambda _own, _ack: True, AckFate.MOVE),
)


def step(state: SenderState, event: SenderEvent, now_s: float, jitter: float = 0.0) -> Step:
    """Return the next state and what to do; `jitter` in [0, 1) spreads the resends."""
    return TRANSITIONS[type(event)](state, event, now_s, jitter)


def judge(state: SenderState, ack: Acknowledged) -> AckFate:
    """Say what an ACK means."""
    return next(rule.fate for rule in ACK_RULES if rule.holds(state, ack))


def _connected(state: SenderState, _event: Connected, _now_s: float, _jitter: float) -> Step:
    fresh = replace(state, credit=1, window=LEAST_WINDOW, held=frozenset(), flights={})
    return replace(fresh, connected=True, live=state.next), ()


def _disconnected(state: SenderState, _event: Disconnected, _now_s: float, _jitter: float) -> Step:
    return replace(state, connected=False, flights={}), ()


def _sealed(state: SenderState, event: Sealed, now_s: float, jitter: float) -> Step:
    grown = replace(state, next=event.next, first=max(event.first, state.first))
    if grown.acked + 1 < grown.first:
        # dropped after their grace while we went back to before them: nobody can fill that gap
        return grown, (_without(grown, grown.acked),)
    return _fill(grown, now_s, jitter)


def _fenced(state: SenderState, event: Fenced, _now_s: float, _jitter: float) -> Step:
    return state, (NewEpoch(FENCED),) if event.epoch == state.epoch else ()


def _poisoned(state: SenderState, event: Poisoned, now_s: float, jitter: float) -> Step:
    if event.epoch != state.epoch or not state.first <= event.seq < state.next:
        return state, ()
    return _fill(_hold(state, {event.seq}), now_s, jitter)


def _ticked(state: SenderState, _event: Tick, now_s: float, jitter: float) -> Step:
    return _fill(state, now_s, jitter)


def _acknowledged(state: SenderState, ack: Acknowledged, now_s: float, jitter: float) -> Step:
    return FATES[judge(state, ack)](state, ack, now_s, jitter)


def _ignore(state: SenderState, _ack: Acknowledged, _now_s: float, _jitter: float) -> Step:
    return state, ()


def _show(state: SenderState, ack: Acknowledged, _now_s: float, _jitter: float) -> Step:
    return state, (Send(ack.through),)


def _ahead(state: SenderState, _ack: Acknowledged, _now_s: float, _jitter: float) -> Step:
    return state, (NewEpoch("the cloud is ahead of us"),)


def _gone(state: SenderState, ack: Acknowledged, _now_s: float, _jitter: float) -> Step:
    return state, (_without(state, ack.through),)


def _without(state: SenderState, through: int) -> NewEpoch:
    reason = "the cloud asks for batches that we no longer hold"
    return NewEpoch(reason, (through + 1, state.first - 1))


def _rewind(state: SenderState, ack: Acknowledged, now_s: float, jitter: float) -> Step:
    cleared = replace(state, held=frozenset(), flights={})
    return _follow(cleared, ack, now_s, jitter, (Rewind(ack.through, ack.generation),))


def _move(state: SenderState, ack: Acknowledged, now_s: float, jitter: float) -> Step:
    news = (Release(ack.through, ack.generation),) if ack.through > state.acked else ()
    return _follow(state, ack, now_s, jitter, news)


def _follow(
    state: SenderState, ack: Acknowledged, now_s: float, jitter: float, effects: Effects
) -> Step:
    moved = replace(
        state,
        acked=ack.through,
        generation=ack.generation,
        credit=max(1, ack.credit),
        window=max(1, ack.window),
    )
    if now_s - moved.held_at_s >= LAST_RESEND_S:
        # not at each ACK: one that comes late knows less than we were told
        moved = replace(moved, held=frozenset(), held_at_s=now_s)
    held = {
        seq
        for low, high in ack.have
        for seq in range(max(low, ack.through + 1), min(high + 1, moved.next))
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


def _fill(state: SenderState, now_s: float, jitter: float) -> Step:
    if not state.connected:
        return state, ()
    flights = dict(state.flights)
    sends: list[SenderEffect] = []
    late = sorted(seq for seq, flight in flights.items() if flight.resend_at_s <= now_s)
    for seq in late:
        sent = flights[seq].sent
        flights[seq] = Flight(now_s + _delay_s(sent, jitter), sent + 1)
        sends.append(Send(seq))
    for seq in _wanted(state, flights):
        flights[seq] = Flight(now_s + _delay_s(0, jitter), 1)
        sends.append(Send(seq))
    return (replace(state, flights=flights) if sends else state), tuple(sends)


def _wanted(state: SenderState, flights: Mapping[int, Flight]) -> list[int]:
    """The batches to send now: news first, but never all of the credit while there is a backlog."""
    room = state.credit - len(flights)
    oldest = max(state.acked + 1, state.first)
    end = min(state.next, state.acked + state.window + 1)
    if room <= 0 or oldest >= end:
        return []
    live = max(state.live, oldest)

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


_Transition = Callable[[SenderState, Any, float, float], Step]
FATES: Final[Mapping[AckFate, _Transition]] = {
    AckFate.IGNORE: _ignore,
    AckFate.SHOW: _show,
    AckFate.AHEAD: _ahead,
    AckFate.GONE: _gone,
    AckFate.REWIND: _rewind,
    AckFate.MOVE: _move,
}
TRANSITIONS: Final[Mapping[type[SenderEvent], _Transition]] = {
    Connected: _connected,
    Disconnected: _disconnected,
    Sealed: _sealed,
    Acknowledged: _acknowledged,
    Fenced: _fenced,
    Poisoned: _poisoned,
    Tick: _ticked,
}
