"""The cloud's decisions on one lane."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.delivery import envelope, receiver
from protocols.delivery.envelope import GENESIS, Envelope
from protocols.delivery.messages import LaneReport
from protocols.delivery.receiver import WINDOW, Fate, Known, LaneState, Verdict

NOTHING = Known()
HASH = b"\x09" * 32


def chain(length: int, *, payload: bytes = b"x") -> list[Envelope]:
    made: list[Envelope] = []
    for seq in range(1, length + 1):
        made.append(
            envelope.seal(
                payload,
                gateway="gw-1",
                lane=1,
                epoch=5,
                seq=seq,
                batch_id=envelope.batch_id(bytes(12), seq),
                prev_hash=made[-1].hash if made else GENESIS,
                root=bytes(32),
            )
        )
    return made


def take(state: LaneState, item: Envelope, known: Known = NOTHING) -> Verdict:
    return receiver.judge(state, item, HASH, known)


@given(st.permutations(range(8)))
def test_batches_are_stored_in_any_order_and_the_watermark_follows(order: list[int]) -> None:
    batches = chain(8)
    state, came = LaneState(5), set[int]()
    for index in order:
        verdict = take(state, batches[index])
        assert verdict.fate is Fate.STORE
        state = verdict.state
        came.add(index + 1)
        through = next(seq for seq in range(9) if seq + 1 not in came)
        assert state.through == through
        assert state.hash_through == (batches[through - 1].hash if through else GENESIS)
        held = {seq for low, high in receiver.have(state) for seq in range(low, high + 1)}
        assert held == {seq for seq in came if seq > through}


def test_have_is_closed_intervals() -> None:
    batches = chain(7)
    state = LaneState(5)
    for seq in (7, 3, 4):
        state = take(state, batches[seq - 1]).state
    assert receiver.have(state) == [(3, 4), (7, 7)]


def test_a_repeated_batch_is_known_and_changes_nothing() -> None:
    (first,) = chain(1)
    state = take(LaneState(5), first).state
    again = take(state, first, Known(HASH, first.hash))
    assert (again.fate, again.state) == (Fate.KNOWN, state)


def test_a_known_id_in_a_new_place_moves_the_watermark_without_being_stored() -> None:
    (first,) = chain(1)
    verdict = take(LaneState(5), first, Known(payload_hash=HASH))
    assert (verdict.fate, verdict.state.through) == (Fate.KNOWN, 1)


def test_the_window_ends_after_its_last_batch() -> None:
    batches = chain(WINDOW + 1)
    assert take(LaneState(5), batches[WINDOW - 1]).fate is Fate.STORE
    verdict = take(LaneState(5), batches[WINDOW])
    assert (verdict.fate, verdict.state) == (Fate.OUTSIDE_WINDOW, LaneState(5))


def test_the_window_is_never_smaller_than_the_credit() -> None:
    assert WINDOW >= receiver.CREDIT


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (Known(payload_hash=b"other"), "other bytes"),
        (Known(payload_hash=HASH, envelope_hash=b"other"), "another hash"),
    ],
)
def test_a_twin_is_fenced_for_ever(known: Known, reason: str) -> None:
    first, second = chain(2)
    verdict = take(LaneState(5), first, known)
    assert verdict.fate is Fate.FENCE
    assert reason in verdict.reason
    later = take(verdict.state, second)
    assert later.fate is Fate.FENCED


def test_an_unknown_batch_below_the_watermark_is_fenced() -> None:
    first, second = chain(2)
    state = take(take(LaneState(5), first).state, second).state
    assert take(state, first).fate is Fate.FENCE


def test_a_broken_chain_is_fenced_wherever_it_closes() -> None:
    first, _ = chain(2)
    _, other = chain(2, payload=b"another past")
    ahead = take(LaneState(5), other)
    assert ahead.fate is Fate.STORE
    assert take(ahead.state, first).fate is Fate.FENCE


@pytest.mark.parametrize(
    ("own", "through", "acked", "reported", "needed"),
    [
        pytest.param(1, 7, 7, 1, 1, id="in step"),
        pytest.param(1, 9, 7, 1, 1, id="an acknowledgement was lost"),
        pytest.param(1, 0, 0, 0, 1, id="a new gateway"),
        pytest.param(1, 5, 7, 1, 2, id="restored copy"),
        pytest.param(1, 7, 7, 3, 4, id="restored copy with the same watermark"),
        pytest.param(3, 5, 7, 1, 4, id="restored, the gateway missed the last generations"),
    ],
)
def test_generation(own: int, through: int, acked: int, reported: int, needed: int) -> None:
    report = LaneReport(1, 5, 1, 10, acked, reported)
    assert receiver.needed_generation(own, through, report) == needed
