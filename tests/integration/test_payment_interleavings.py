"""Random interleavings of payer, channel, cashier and crashes: every yuan once, books balanced."""

import itertools
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select

from cloud.errors import CloudError
from cloud.ledger import repository, service
from cloud.ledger.entries import Book, Charge
from cloud.ledger.service import Teller
from cloud.ledger.tables import entries, lines
from cloud.payments import asking
from cloud.payments import repository as payments
from cloud.payments import service as shop
from cloud.payments.states import Order, State
from cloud.payments.tables import orders
from tests.fixtures.estate import premise, put_on_file
from tests.fixtures.payment_counterpart import Counterpart

OWED_FEN = 10_000
HOMES = 400
SECOND_US = 1_000_000
NAMES = ("wechat", "alipay")
# names of runs that Hypothesis repeats or shrinks: each has a home of its own
_RUNS = itertools.count()

channel_names = st.sampled_from(NAMES)
steps = st.one_of(
    st.tuples(st.just("create"), channel_names, st.sampled_from([None, 1_234, 5_000])),
    st.tuples(st.just("pay"), channel_names, st.integers(0, 3)),
    st.tuples(st.just("notify"), channel_names, st.integers(0, 3)),
    st.tuples(st.just("notify"), channel_names, st.integers(0, 3)),
    st.tuples(st.just("die"), channel_names, st.integers(0, 3)),
    st.tuples(st.just("ask"), channel_names, st.sampled_from([0, 7, 60, 1000])),
    st.tuples(st.just("withdraw"), channel_names, st.integers(0, 3)),
    st.tuples(st.just("fault"), channel_names, st.sampled_from(["lost", "unsigned", "broken"])),
    st.tuples(st.just("cash"), channel_names, st.sampled_from([700, 9_300])),
)


class KilledError(BaseException):
    """The process ends here."""


class Run:
    """One home of its own through some steps."""

    def __init__(self, engine: Engine, counterpart: Counterpart) -> None:
        self.engine = engine
        self.counterpart = counterpart
        self.account = f"h{next(_RUNS) % HOMES}"
        self.now_us = int(counterpart.wechat.books.now_s) * SECOND_US
        self.cash_fen = 0
        self.made: dict[str, list[str]] = {name: [] for name in NAMES}
        for name in NAMES:
            books = counterpart.books(name)
            books.trades.clear()
            books.faults.clear()

    def step(self, act: str, name: str, value: int | str | None) -> None:
        """Do one step; what is refused or unreachable is part of life."""
        acts: dict[str, Callable[[str], None]] = {
            "pay": self._pay,
            "notify": self._notify,
            "die": self._die,
            "withdraw": self._withdraw,
        }
        if act == "create":
            self._create(name, value if isinstance(value, int) else None)
        elif act == "fault":
            self.counterpart.books(name).faults.append(str(value))
        elif act == "ask":
            self.ask(int(str(value)))
        elif act == "cash":
            self._cash(int(str(value)))
        elif self.made[name]:
            acts[act](self.made[name][int(str(value)) % len(self.made[name])])

    def ask(self, after_s: int) -> None:
        """Let time pass and the background work ask."""
        self.now_us += after_s * SECOND_US
        asking.step(self.engine, self.counterpart.channels, self.now_us)

    def order(self, number: str) -> Order:
        """Return an order as it stands."""
        with self.engine.connect() as connection:
            found = payments.order_of(connection, number)
        assert found is not None
        return found

    def check(self) -> None:
        """Compare the books with what was paid at the channels and at the desk."""
        with self.engine.connect() as connection:
            assert repository.imbalance(connection) == []
            entered = connection.execute(
                select(entries.c.key, lines.c.amount_fen)
                .join(lines, lines.c.entry_id == entries.c.id)
                .where(lines.c.book == Book.CASH, entries.c.account_id == self.account)
                .where(lines.c.channel.in_(NAMES))
            ).all()
            standing = service.standing_of(connection, "p", self.account)
            states = dict(
                connection.execute(
                    select(orders.c.number, orders.c.state).where(
                        orders.c.account_id == self.account
                    )
                ).all()
            )
        paid = {
            f"{name}:{transaction}": fen
            for name in NAMES
            for transaction, fen in self.counterpart.books(name).paid().items()
        }
        assert sorted(entered) == sorted(paid.items())
        taken_fen = self.cash_fen + sum(paid.values())
        assert standing.owed_fen - standing.prepaid_fen == OWED_FEN - taken_fen
        assert set(states.values()) <= {State.PAID, State.CLOSED}

    def _create(self, name: str, amount_fen: int | None) -> None:
        teller = Teller("p", "clerk", self.now_us)
        channel = self.counterpart.channels[name]
        try:
            order = shop.open_order(
                self.engine, channel, teller, self.account, amount_fen=amount_fen
            )
        except CloudError:
            return
        if order.number not in self.made[name]:
            self.made[name].append(order.number)

    def _pay(self, number: str) -> None:
        self.counterpart.books(self.order(number).channel).pay(number)

    def _notify(self, number: str) -> None:
        name = self.order(number).channel
        side, channel = self.counterpart.side(name), self.counterpart.channels[name]
        if side.books.trades[number].paid_at is None:
            return
        told = channel.parse(*side.notification(number))
        assert told is not None
        with self.engine.begin() as connection:
            shop.take(connection, channel, told, source="notification", now_us=self.now_us)

    def _die(self, number: str) -> None:
        def die(_: object) -> None:
            raise KilledError

        event.listen(self.engine, "commit", die)
        try:
            self._notify(number)
        except KilledError:
            pass
        finally:
            event.remove(self.engine, "commit", die)

    def _withdraw(self, number: str) -> None:
        order = self.order(number)
        try:
            shop.withdraw(self.engine, self.counterpart.channels[order.channel], order, self.now_us)
        except CloudError:
            return

    def _cash(self, fen: int) -> None:
        self.cash_fen += fen
        with self.engine.begin() as connection:
            service.pay(
                connection,
                Teller("p", "clerk", self.now_us),
                self.account,
                amount_fen=fen,
                channel="cash",
                key=f"{self.account}:{self.now_us}:{self.cash_fen}",
            )


@pytest.fixture
def street(engine: Engine) -> Engine:
    """Give many homes that owe the same."""
    with engine.begin() as connection:
        homes = [premise(f"h{number}") for number in range(HOMES)]
        put_on_file(connection, date(2026, 6, 1), premises=homes, meters=[])
        repository.open_accounts(connection, "p", date(2026, 6, 1))
        charge = Charge("2026-06", "property")
        charges = {f"b{n}": (f"h{n}", charge, OWED_FEN) for n in range(HOMES)}
        service.post_bills(connection, Teller("p", "run", 1_790_000_000_000_000), charges)
    return engine


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(steps, min_size=4, max_size=24))
def test_every_yuan_at_the_channel_is_entered_once(
    street: Engine, counterpart: Counterpart, acts: list[tuple[str, str, int | str | None]]
) -> None:
    run = Run(street, counterpart)
    run.step("create", "wechat", None)
    run.step("create", "alipay", None)
    for act in acts:
        run.step(*act)
    for name in NAMES:
        counterpart.books(name).faults.clear()
    # no notification comes any more: only asking brings the rest
    for after_s in (1, 901, 1200, 3600):
        run.ask(after_s)
    run.check()
