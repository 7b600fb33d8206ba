"""The gateway's decisions on one lane."""

import pytest
from msgspec.structs import replace

from protocols.delivery import sender
from protocols.delivery.sender import (
    LEAST_WINDOW,
    AckFate,
    Acknowledged,
    Connected,
    Disconnected,
    Fenced,
    NewEpoch,
    Poisoned,
    Release,
    Rewind,
    Sealed,
    Send,
    SenderEffect,
    SenderEvent,
    SenderState,
    Tick,
)

HASH = b"h" * 32


def lane(**changed: object) -> SenderState:
    fields: dict[str, object] = {"first": 1, "next": 11, "acked": 0, "generation": 1}
    fields |= {"connected": True, "credit": 4}
    return SenderState(1, 5, **(fields | changed))  # type: ignore[arg-type]  # any field


def ack(through: int, **changed: object) -> Acknowledged:
    event = Acknowledged(5, through, (), HASH, HASH if through else None, 1, 4)
    return replace(event, **changed)  # type: ignore[arg-type]  # any field


def run(
    state: SenderState, *events: SenderEvent, now_s: float = 0.0
) -> tuple[SenderState, list[SenderEffect]]:
    effects: list[SenderEffect] = []
    for event in events:
        state, more = sender.step(state, event, now_s)
        effects.extend(more)
    return state, effects


def test_one_batch_until_the_first_ack_then_as_many_as_the_credit() -> None:
    state, effects = run(lane(connected=False, credit=9), Connected(), Tick())
    assert effects == [Send(1)]
    _, effects = run(state, ack(1, credit=3))
    assert effects == [Release(1, 1), Send(2), Send(3), Send(4)]


def test_nothing_is_sent_without_a_connection() -> None:
    state, effects = run(lane(connected=False), Sealed(20), Tick())
    assert (effects, state.next) == ([], 20)
    _, effects = run(lane(), Tick(), Disconnected(), Tick())
    assert effects == [Send(1), Send(2), Send(3), Send(4)]


def test_a_batch_is_sent_again_later_and_later_up_to_a_minute() -> None:
    state = lane(next=2, credit=1)
    now_s, waits = 0.0, []
    state, effects = sender.step(state, Tick(), now_s)
    for _ in range(6):
        wait_s = state.flights[1].resend_at_s - now_s
        _, early = sender.step(state, Tick(), now_s + wait_s - 0.001)
        assert early == ()
        now_s += wait_s
        state, effects = sender.step(state, Tick(), now_s)
        assert effects == (Send(1),)
        waits.append(wait_s)
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_jitter_only_lengthens_the_wait() -> None:
    state, _ = sender.step(lane(next=2), Tick(), 0.0, 0.9)
    assert 5.0 < state.flights[1].resend_at_s < 7.5


def test_batches_that_the_cloud_has_are_not_sent_again() -> None:
    _, effects = run(lane(), ack(1, have=((3, 4), (6, 6))))
    assert effects == [Release(1, 1), Send(2), Send(5), Send(7), Send(8)]


def test_a_lying_interval_costs_no_memory() -> None:
    state, _ = run(lane(), ack(1, have=((3, 1 << 61),)))
    assert state.held == frozenset(range(3, 11))


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(ack(3, epoch=6), id="another epoch"),
        pytest.param(ack(3, generation=0), id="an old generation"),
        pytest.param(ack(3, own_hash=None), id="a hash that we should hold"),
    ],
)
def test_acks_that_mean_nothing(event: Acknowledged) -> None:
    assert sender.judge(lane(), event) is AckFate.IGNORE
    assert run(lane(), event) == (lane(), [])


def test_a_twins_hash_moves_nothing_and_is_answered_by_our_own_version() -> None:
    event = ack(3, own_hash=b"mine")
    assert sender.judge(lane(), event) is AckFate.SHOW
    assert run(lane(), event) == (lane(), [Send(3)])


def test_a_cloud_that_is_ahead_means_that_we_are_a_copy() -> None:
    assert run(lane(), ack(11))[1] == [NewEpoch("the cloud is ahead of us")]


def test_a_higher_generation_rewinds_and_sends_again() -> None:
    state, effects = run(lane(acked=6, generation=1), ack(2, generation=2))
    assert effects == [Rewind(2, 2), Send(3), Send(4), Send(5), Send(6)]
    assert (state.acked, state.generation) == (2, 2)


def test_a_lower_watermark_rewinds() -> None:
    assert run(lane(acked=6), ack(2))[1][0] == Rewind(2, 1)


def test_what_grace_has_dropped_is_declared_lost_and_needs_a_new_epoch() -> None:
    (effect,) = run(lane(first=5, acked=6), ack(2, generation=2, own_hash=None))[1]
    assert isinstance(effect, NewEpoch)
    assert effect.gone == (3, 4)


def test_a_watermark_below_what_is_held_needs_a_new_epoch() -> None:
    # the journal dropped what it held for the grace period alone, and tells of it too late
    state, effects = run(lane(acked=9), ack(2, generation=2))
    assert effects[0] == Rewind(2, 2)
    (effect,) = run(state, Sealed(11, 5))[1]
    assert isinstance(effect, NewEpoch)
    assert effect.gone == (3, 4)
    assert Send(3) in run(state, Disconnected(), Connected(), Sealed(11, 3))[1]


def test_a_late_ack_from_before_what_is_held_means_nothing() -> None:
    state = lane(first=5, acked=6)
    assert run(state, ack(2, own_hash=None)) == (state, [])


def test_the_oldest_held_batch_follows_the_journal() -> None:
    state, _ = run(lane(acked=9), Sealed(11, 8))
    assert state.first == 8
    (effect,) = run(state, ack(2, generation=2, own_hash=None))[1]
    assert isinstance(effect, NewEpoch)


def test_a_fence_of_our_epoch_needs_a_new_one() -> None:
    assert run(lane(), Fenced(5))[1] == [NewEpoch("fenced")]
    assert run(lane(), Fenced(4))[1] == []


def test_a_quarantined_batch_is_not_sent_again_and_the_lane_goes_on() -> None:
    state, effects = run(lane(credit=1), Tick(), Poisoned(5, 1))
    assert effects == [Send(1), Send(2)]
    assert run(state, Poisoned(4, 2))[1] == []


def test_news_go_before_a_backlog_that_keeps_its_share() -> None:
    state, _ = run(lane(next=1001, credit=1), Connected(), ack(0, credit=8, window=5000))
    assert state.live == 1001
    assert sorted(state.flights) == [1, 2, 3, 4, 5, 6, 7, 8]
    # four of the backlog are on their way still: what there is room for is news
    state, effects = run(state, Sealed(1030), ack(4, credit=8, window=5000))
    sends = [effect.seq for effect in effects if isinstance(effect, Send)]
    assert sends == [1001, 1002, 1003, 1004]
    # none is on its way any more: two of eight are its share
    _, effects = run(state, ack(8, credit=8, window=5000, have=((1001, 1004),)))
    sends = [effect.seq for effect in effects if isinstance(effect, Send)]
    assert sends == [1005, 1006, 1007, 1008, 1009, 1010, 9, 10]


def test_news_beyond_the_window_wait() -> None:
    state, _ = run(lane(next=1001, credit=1), Connected(), ack(0, credit=4, window=600))
    _, effects = run(replace(state, flights={}), Sealed(1004))
    assert effects == [Send(1), Send(2), Send(3), Send(4)]


def test_a_new_session_asks_anew_how_far_it_may_go() -> None:
    state, _ = run(lane(), ack(1, window=70_000))
    assert state.window == 70_000
    state, _ = run(state, Disconnected(), Connected())
    assert (state.window, state.live) == (LEAST_WINDOW, 11)
