"""Orders paid at a channel are entered once, whatever comes how often; on both databases."""

import threading

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import DBAPIError

from cloud.errors import RefusedError
from cloud.ledger import approvals, repository
from cloud.payments import asking, refunds
from cloud.payments import repository as payments
from cloud.payments import service as shop
from cloud.payments.channel import ChannelRefusedError, ChannelUnreachableError, RefundStatus
from cloud.payments.states import Order, State, Verdict
from cloud.payments.tables import EVIDENCE, notices
from cloud.tables import metadata
from tests.fixtures.desks import Desk
from tests.fixtures.payment_counterpart import Counterpart

both = pytest.mark.parametrize("name", ["wechat", "alipay"])


@pytest.fixture
def desk(engine: Engine, counterpart: Counterpart) -> Desk:
    """Give a desk that owes."""
    return Desk(engine, counterpart)


@both
def test_a_notification_pays_once(desk: Desk, name: str) -> None:
    order = desk.order(name)
    assert (order.amount_fen, order.state, bool(order.opens)) == (10_000, State.CREATED, True)
    assert order.subject == "小区 1号楼 1-101"
    assert desk.order(name).number == order.number
    desk.pay(order)
    assert desk.notify(order) is Verdict.ENTERED
    assert [desk.notify(order) for _ in range(3)] == [Verdict.REPEATED] * 3
    held = desk.held(order)
    assert (held.state, held.is_late, held.ask_us) == (State.PAID, False, None)
    paid_at = desk.counterpart.books(name).trades[order.number].paid_at
    assert paid_at is not None
    assert held.paid_us == int(paid_at.timestamp()) * 1_000_000
    assert desk.sums() == (0, 0)
    with desk.engine.connect() as connection:
        (entry,) = [
            each
            for each in repository.entries_of(connection, "1-101")
            if each.entry.kind == "payment"
        ]
        assert (entry.id, entry.entered_by) == (held.entry_id, shop.ENTERED_BY)
        assert entry.key == f"{name}:{held.transaction_id}"
        kept = connection.execute(select(notices).order_by(notices.c.id)).first()
        assert kept is not None
        assert order.number in kept.plain
    assert desk.ask(3600) == 0


@both
def test_a_lost_notification_loses_nothing(desk: Desk, name: str) -> None:
    order = desk.order(name)
    assert desk.ask() == 0
    assert desk.ask(6) == 1
    assert desk.held(order).state is State.CREATED
    desk.pay(order)
    desk.counterpart.books(name).faults.append("lost")
    desk.ask(120)
    assert desk.held(order).state is State.CREATED
    desk.ask(120)
    assert desk.held(order).state is State.PAID
    assert desk.notify(order) is Verdict.REPEATED
    assert desk.sums() == (0, 0)


@both
def test_an_order_that_nobody_pays_is_closed(desk: Desk, name: str) -> None:
    order = desk.order(name)
    desk.counterpart.books(name).trades[order.number].is_scanned = True
    desk.ask(901)
    assert desk.held(order).state is State.CLOSED
    assert not desk.counterpart.books(name).pay(order.number)
    assert desk.ask(601) == 1
    assert desk.ask(86_400) == 0
    assert desk.order(name).number != order.number


def test_paid_after_it_was_closed_is_prepaid_and_flagged(desk: Desk) -> None:
    order = desk.order("alipay")
    desk.ask(901)
    # nobody had scanned it, so that the channel had nothing to close
    desk.pay(order)
    assert desk.notify(order) is Verdict.LATE
    assert desk.notify(order) is Verdict.REPEATED
    held = desk.held(order)
    assert (held.state, held.is_late) == (State.PAID, True)
    assert desk.sums() == (10_000, 10_000)


def test_paid_after_it_was_closed_and_the_notification_lost(desk: Desk) -> None:
    order = desk.order("alipay")
    channel = desk.counterpart.channels["alipay"]
    shop.withdraw(desk.engine, channel, order, desk.now_us)
    desk.pay(order)
    desk.ask(1600)
    assert desk.held(order).is_late
    assert desk.sums() == (10_000, 10_000)


@both
def test_the_cashier_was_faster(desk: Desk, name: str) -> None:
    order = desk.order(name)
    desk.pay(order)
    desk.cash(10_000)
    assert desk.notify(order) is Verdict.ENTERED
    assert desk.sums() == (0, 10_000)
    with pytest.raises(RefusedError, match=r"allowed is up to 0\.00"):
        desk.order(name)


@both
def test_another_amount_withdraws_the_order_before(desk: Desk, name: str) -> None:
    first = desk.order(name)
    desk.counterpart.books(name).trades[first.number].is_scanned = True
    desk.cash(4_000)
    second = desk.order(name)
    assert (second.number != first.number, second.amount_fen) == (True, 6_000)
    assert desk.held(first).state is State.CLOSED
    assert not desk.counterpart.books(name).pay(first.number)
    third = desk.order(name, 1_000)
    assert (third.amount_fen, desk.held(second).state) == (1_000, State.CLOSED)
    for fen in (0, -1, 6_001):
        with pytest.raises(RefusedError, match=r"allowed is up to 60\.00"):
            desk.order(name, fen)


@pytest.mark.parametrize(
    ("name", "changed", "says"),
    [
        ("wechat", {"amount": {"total": 9_999, "currency": "CNY"}}, "amount_fen: 9999"),
        ("wechat", {"amount": {"total": 10_000, "currency": "USD"}}, "currency"),
        ("wechat", {"appid": "wx0"}, "app_id: 'wx0'"),
        ("wechat", {"mchid": "1"}, "merchant_id: '1'"),
        ("alipay", {"total_amount": "100.01"}, "amount_fen: 10001"),
        ("alipay", {"app_id": "1"}, "app_id: '1'"),
        ("alipay", {"seller_id": ""}, "merchant_id"),
    ],
)
def test_what_differs_is_kept_and_not_entered(
    desk: Desk, name: str, changed: dict[str, object], says: str
) -> None:
    order = desk.order(name)
    desk.pay(order)
    assert desk.notify(order, **changed) is Verdict.DIFFERS
    assert desk.sums() == (10_000, 0)
    with desk.engine.connect() as connection:
        (kept,) = payments.notices_unentered(connection)
        assert payments.notices_unentered(connection, "p") == [kept]
        assert payments.notices_unentered(connection, "q") == []
    assert (kept.number, kept.verdict, says in kept.reason) == (order.number, Verdict.DIFFERS, True)
    # what the channel itself says when it is asked is entered all the same
    desk.ask(60)
    assert desk.sums() == (0, 0)
    with desk.engine.connect() as connection:
        assert payments.notices_unentered(connection) == []


@both
def test_an_order_that_is_not_ours_is_kept(desk: Desk, name: str) -> None:
    books = desk.counterpart.books(name)
    trade = books.create("H99999999", 500, "?", "")
    books.pay(trade.number)
    order = desk.order(name)
    stranger = Order(**{**vars(order), "number": trade.number})
    assert desk.notify(stranger) is Verdict.UNKNOWN
    assert desk.notify(stranger) is Verdict.UNKNOWN
    with desk.engine.connect() as connection:
        kept = payments.notices_unentered(connection, "q")
        assert {each.amount_fen for each in kept} == {500}
    assert desk.sums() == (10_000, 0)


def test_a_transaction_pays_one_order(desk: Desk) -> None:
    first = desk.order("wechat", 1_000)
    desk.pay(first)
    assert desk.notify(first) is Verdict.ENTERED
    second = desk.order("wechat", 2_000)
    desk.pay(second)
    twin = desk.held(first).transaction_id
    assert desk.notify(second, transaction_id=twin) is Verdict.DIFFERS
    assert desk.notify(second) is Verdict.ENTERED
    assert desk.sums() == (7_000, 0)


@both
def test_at_the_same_moment_too(desk: Desk, name: str) -> None:
    order = desk.order(name)
    desk.pay(order)
    found: list[Verdict] = []
    gate = threading.Barrier(9)

    def work(act: int) -> None:
        gate.wait(10)
        if act == 8:
            desk.cash(3_000)
        elif act % 4 == 0:
            asking.ask(desk.engine, desk.counterpart.channels[name], order, desk.now_us)
        else:
            found.append(desk.notify(order))

    threads = [threading.Thread(target=work, args=(act,)) for act in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert found.count(Verdict.ENTERED) <= 1
    assert set(found) <= {Verdict.ENTERED, Verdict.REPEATED}
    assert desk.sums() == (0, 3_000)


@both
def test_killed_before_the_commit(desk: Desk, name: str) -> None:
    order = desk.order(name)
    desk.pay(order)

    def die(_: object) -> None:
        message = "killed"
        raise KeyboardInterrupt(message)

    event.listen(desk.engine, "commit", die)
    with pytest.raises(KeyboardInterrupt):
        desk.notify(order)
    event.remove(desk.engine, "commit", die)
    assert desk.sums() == (10_000, 0)
    assert desk.held(order).state is State.CREATED
    assert desk.notify(order) is Verdict.ENTERED
    assert desk.sums() == (0, 0)


@both
@pytest.mark.parametrize("fault", ["lost", "broken", "unsigned"])
def test_an_order_whose_answer_was_lost_is_asked_for_again(
    desk: Desk, name: str, fault: str
) -> None:
    books = desk.counterpart.books(name)
    books.faults.append(fault)
    with pytest.raises(ChannelUnreachableError):
        desk.order(name)
    (number,) = books.trades
    order = desk.order(name)
    assert (order.number, bool(order.opens)) == (number, True)
    assert list(books.trades) == [number]


def test_an_order_that_the_channel_refuses(desk: Desk) -> None:
    wechat = desk.counterpart.channels["wechat"]
    books = desk.counterpart.wechat.books
    books.refuse_next = True
    with pytest.raises(ChannelRefusedError, match="PARAM_ERROR"):
        desk.order("wechat")
    with desk.engine.connect() as connection:
        (order,) = payments.orders_of_account(connection, "1-101")
    assert order.state is State.CLOSED
    assert shop.withdraw(desk.engine, wechat, order, desk.now_us) == order
    assert desk.order("wechat").number != order.number


@both
def test_a_granted_refund_is_given_back_once(desk: Desk, name: str) -> None:
    order = desk.order(name)
    desk.pay(order)
    desk.cash(10_000)
    desk.notify(order)
    order, books = desk.held(order), desk.counterpart.books(name)
    with desk.engine.begin() as connection:
        with pytest.raises(RefusedError, match=r"up to 100\.00"):
            refunds.ask_refund(connection, desk.teller(), order, amount_fen=10_001, reason="x")
        asked = refunds.ask_refund(
            connection, desk.teller(), order, amount_fen=10_000, reason="付重了"
        )
    desk.ask(60)
    assert books.refunds == {}
    with desk.engine.begin() as connection:
        approvals.decide(connection, desk.teller("manager"), asked.id, grant=True)
    # the answer to the refund itself is lost: it is asked after before it is sent again
    books.refund_state = "waiting"
    desk.ask(1)
    desk.ask(60)
    with desk.engine.connect() as connection:
        (refund,) = payments.refunds_of(connection, [order.number])
    assert (refund.state, refund.amount_fen) == (RefundStatus.WAITING, 10_000)
    assert desk.held(order).state is State.PAID
    books.refunds[refund.number].state = "done"
    desk.ask(3600)
    with desk.engine.connect() as connection:
        (refund,) = payments.refunds_of(connection, [order.number])
    assert refund.state is RefundStatus.CONFIRMED
    assert desk.held(order).state is State.REFUNDED
    assert [each.amount_fen for each in books.refunds.values()] == [10_000]
    assert desk.sums() == (0, 0)
    desk.ask(3600)
    assert len(books.refunds) == 1
    order = desk.held(order)
    with desk.engine.begin() as connection, pytest.raises(RefusedError, match="refunded"):
        refunds.ask_refund(connection, desk.teller(), order, amount_fen=1, reason="x")


def test_two_refunds_never_give_more_than_was_paid(desk: Desk) -> None:
    order = desk.order("wechat")
    desk.pay(order)
    desk.cash(20_000)
    desk.notify(order)
    order = desk.held(order)
    ids = []
    for _ in range(2):
        with desk.engine.begin() as connection:
            asked = refunds.ask_refund(
                connection, desk.teller(), order, amount_fen=6_000, reason="x"
            )
            ids.append(asked.id)
    for id_ in ids:
        with desk.engine.begin() as connection:
            approvals.decide(connection, desk.teller("manager"), id_, grant=True)
    desk.ask(1)
    with desk.engine.connect() as connection:
        states = [each.state for each in payments.refunds_of(connection, [order.number])]
    assert sorted(states) == [RefundStatus.CONFIRMED, RefundStatus.FAILED]
    assert [each.amount_fen for each in desk.counterpart.wechat.books.refunds.values()] == [6_000]


@pytest.mark.parametrize("table", EVIDENCE)
def test_evidence_never_changes(desk: Desk, table: str) -> None:
    order = desk.order("wechat")
    desk.pay(order)
    desk.notify(order)
    for statement in (
        metadata.tables[table].delete(),
        metadata.tables[table].update().values(verdict="entered"),
    ):
        with pytest.raises(DBAPIError, match="posted is posted"), desk.engine.begin() as connection:
            connection.execute(statement)
