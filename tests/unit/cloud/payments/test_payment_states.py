"""Payment orders as pure states: what moves them, what is refused, when a channel is asked."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.payments.channel import Evidence, Status, Told
from cloud.payments.states import MOVES, Move, Order, State, Verdict, judge, next_ask_us

NOW_US = 1_790_000_000_000_000
ORDER = Order(
    number="H1",
    project_id="p",
    account_id="a",
    channel="wechat",
    amount_fen=100,
    subject="x",
    state=State.CREATED,
    made_by="clerk",
    made_us=NOW_US,
    expires_us=NOW_US + 900_000_000,
    opens="weixin://",
    transaction_id=None,
    paid_us=None,
    is_late=False,
    entry_id=None,
    ask_us=None,
)
PAID = Told("H1", Status.PAID, Evidence(b"x"), transaction_id="t1", amount_fen=100, app_id="app")


def verdict(order: Order | None, told: Told) -> tuple[Verdict, str]:
    return judge(order, told, channel="wechat", app_id="app", merchant_id="m")


@pytest.mark.parametrize(
    ("state", "expected"),
    [(State.CREATED, Verdict.ENTERED), (State.CLOSED, Verdict.LATE)],
)
def test_what_was_paid_is_entered(state: State, expected: Verdict) -> None:
    assert verdict(replace(ORDER, state=state), PAID) == (expected, "")


@pytest.mark.parametrize("state", [State.PAID, State.REFUNDED])
def test_what_was_entered_is_not_entered_again(state: State) -> None:
    assert verdict(replace(ORDER, state=state, transaction_id="t1"), PAID)[0] is Verdict.REPEATED
    found, why = verdict(replace(ORDER, state=state, transaction_id="t0"), PAID)
    assert (found, "transaction_id: 't1'" in why) == (Verdict.DIFFERS, True)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (replace(PAID, amount_fen=99), "amount_fen: 99: allowed is 100"),
        (replace(PAID, amount_fen=None), "amount_fen: None"),
        (replace(PAID, currency="USD"), "currency: 'USD'"),
        (replace(PAID, app_id="other"), "app_id: 'other': allowed is 'app'"),
        (replace(PAID, merchant_id="other"), "merchant_id: 'other'"),
        (replace(PAID, transaction_id=""), "transaction_id: missing"),
    ],
)
def test_what_differs_is_refused_with_its_reason(told: Told, says: str) -> None:
    found, why = verdict(ORDER, told)
    assert found is Verdict.DIFFERS
    assert says in why


def test_an_order_of_another_channel_or_of_nobody() -> None:
    assert verdict(replace(ORDER, channel="alipay"), PAID)[0] is Verdict.DIFFERS
    assert verdict(None, PAID)[0] is Verdict.UNKNOWN
    assert verdict(None, replace(PAID, status=Status.CLOSED)) == (Verdict.NOTED, "")


@given(st.lists(st.sampled_from(Move), max_size=20))
def test_money_that_came_never_leaves_by_a_close(moves: list[Move]) -> None:
    state, was_paid = State.CREATED, False
    for move in moves:
        state = MOVES.get((state, move), state)
        was_paid = was_paid or move is Move.PAY
        assert was_paid == (state in {State.PAID, State.REFUNDED})


@given(st.integers(0, 10 * 86_400))
def test_an_open_order_is_always_asked_after_again(age_s: int) -> None:
    now_us = NOW_US + age_s * 1_000_000
    at_us = next_ask_us(ORDER, now_us)
    assert at_us is not None
    assert at_us > now_us or at_us == ORDER.expires_us
    if now_us < ORDER.expires_us:
        assert at_us <= ORDER.expires_us


def test_a_closed_order_is_asked_after_until_nothing_more_can_come() -> None:
    closed = replace(ORDER, state=State.CLOSED)
    last_us = next_ask_us(closed, NOW_US)
    assert last_us is not None
    assert last_us > ORDER.expires_us
    assert next_ask_us(closed, last_us) is None
    assert next_ask_us(replace(ORDER, state=State.PAID), NOW_US) is None
