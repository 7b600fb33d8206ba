"""The pure state machines of the delivery: CPU per batch of the sender and of the receiver."""

import hashlib
import random

from protocols.delivery import receiver, sender
from protocols.delivery.envelope import GENESIS, LANE_READINGS, Envelope, batch_id, seal
from protocols.delivery.receiver import Fate, Known, LaneState
from protocols.delivery.sender import Acknowledged, Connected, Release, Sealed, Send, SenderState
from tests.benchmarks.measure import Figure, measured

BATCHES = 10_000
GROUP = 32
# so many batches of live data wait in the cloud for the outage before them
LIVE = 300
OUTAGE = 2_000
SHUFFLED = 1_000
GENERATION = 1
DIGEST = hashlib.sha256(b"").digest()


def run() -> list[Figure]:
    """Return the CPU per batch of `sender.step` and of `receiver.judge`."""
    chain = _chain(BATCHES)
    shuffled = chain[:SHUFFLED]
    random.Random(1).shuffle(shuffled)
    behind = [*chain[OUTAGE : OUTAGE + LIVE], *chain[:OUTAGE]]
    return [
        _online(BATCHES),
        _draining(BATCHES),
        _judged("receiver: in order", chain),
        _judged(f"receiver: {LIVE} live ahead of {OUTAGE:,}", behind),
        _judged(f"receiver: {SHUFFLED:,} shuffled", shuffled),
    ]


def _online(count: int) -> Figure:
    # each batch is sealed, sent and acknowledged before the next one
    state = _connected(following=1)
    with measured("delivery", "sender: Sealed, Acknowledged", count) as figure:
        for seq in range(1, count + 1):
            state, sends = sender.step(state, Sealed(seq + 1), float(seq))
            state, effects = sender.step(state, _ack(seq), float(seq))
            if sends != (Send(seq),) or effects != (Release(seq, GENERATION),):
                message = f"batch {seq}: {sends} and {effects}"
                raise AssertionError(message)
    return figure


def _draining(count: int) -> Figure:
    # an outage of `count` batches, acknowledged in groups, while a live batch is sealed each time
    state = _connected(following=count + 1)
    state, _ = sender.step(state, _ack(0), 0.0)
    acked, sent = 0, 0
    with measured("delivery", f"sender: drain of {count:,}, ACKs of {GROUP}", count) as figure:
        while acked < count:
            acked = min(count, acked + GROUP)
            state, sends = sender.step(state, Sealed(state.next + 1), 0.0)
            held = ((count + 1, state.next - 1),)
            state, effects = sender.step(state, _ack(acked, held), 0.0)
            sent += len(sends) + len(effects) - 1
    figure.more = f"{sent:,} sends"
    return figure


def _judged(what: str, chain: list[Envelope]) -> Figure:
    state = LaneState(chain[0].epoch)
    with measured("delivery", what, len(chain)) as figure:
        for item in chain:
            verdict = receiver.judge(state, item, DIGEST, Known())
            if verdict.fate is not Fate.STORE:
                message = f"batch {item.seq}: {verdict.reason}"
                raise AssertionError(message)
            state = verdict.state
    figure.more = f"through {state.through:,}"
    return figure


def _connected(*, following: int) -> SenderState:
    state = SenderState(LANE_READINGS, 1, 1, following, 0, GENERATION)
    return sender.step(state, Connected(), 0.0)[0]


def _ack(through: int, have: tuple[tuple[int, int], ...] = ()) -> Acknowledged:
    credit, window = receiver.CREDIT, receiver.WINDOW
    return Acknowledged(1, through, have, GENESIS, GENESIS, GENERATION, credit, window)


def _chain(count: int) -> list[Envelope]:
    made: list[Envelope] = []
    previous = GENESIS
    for seq in range(1, count + 1):
        item = seal(
            b"",
            gateway="gw-bench",
            lane=LANE_READINGS,
            epoch=1,
            seq=seq,
            batch_id=batch_id(bytes(12), seq),
            prev_hash=previous,
            root=DIGEST,
        )
        made.append(item)
        previous = item.hash
    return made
