"""Money in the books: paid once, settled oldest first, approved by others; on both databases."""

import json
import threading
from datetime import date

import pytest
from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.exc import DBAPIError

from cloud.billing.bill_tables import bills, line_items
from cloud.database import migrate
from cloud.errors import NotFoundError, RefusedError
from cloud.ledger import approvals, reports, repository, service
from cloud.ledger.approvals import Ask, State
from cloud.ledger.entries import Book, Charge, Kind
from cloud.ledger.repository import next_numbers
from cloud.ledger.service import Teller
from cloud.ledger.tables import FROZEN, entries, numbers
from cloud.tables import metadata
from tests.fixtures.estate import premise, put_on_file

NOW_US = 1_790_000_000_000_000
CLERK = Teller("p", "clerk", NOW_US)
MANAGER = Teller("p", "manager", NOW_US + 1_000_000)
BOSS = Teller("p", "boss", NOW_US + 2_000_000)
JUNE, JULY = Charge("2026-06", "electricity"), Charge("2026-07", "electricity")
WATER = Charge("2026-06", "water")


@pytest.fixture
def estate(engine: Engine) -> Engine:
    """Give two homes with three bills of the first."""
    with engine.begin() as connection:
        homes = [premise("1-101"), premise("1-102")]
        put_on_file(connection, date(2026, 6, 1), premises=homes, meters=[])
        repository.open_accounts(connection, "p", date(2026, 6, 1))
        post(connection, {"b1": (JUNE, 10_000), "b2": (WATER, 3_000), "b3": (JULY, 5_000)})
    return engine


def post(connection: Connection, bills: dict[str, tuple[Charge, int]]) -> None:
    charges = {name: ("1-101", charge, fen) for name, (charge, fen) in bills.items()}
    service.post_bills(connection, CLERK, charges)


def owed(connection: Connection) -> dict[Charge, int]:
    return service.standing_of(connection, "p", "1-101").open_fen()


def pay(connection: Connection, fen: int, key: str, *items: str) -> repository.Entered:
    return service.pay(
        connection,
        CLERK,
        "1-101",
        amount_fen=fen,
        channel="cash",
        key=key,
        items=items or None,
    )


def balanced(connection: Connection) -> bool:
    rows = reports.collection(connection, "p", first="2026-01", last="2026-12")
    owed_fen = sum(owed(connection).values())
    return not repository.imbalance(connection) and sum(row.owed_fen for row in rows) == owed_fen


def test_one_payment_in_two_parts_the_rest_is_prepaid(estate: Engine) -> None:
    with estate.begin() as connection:
        first = pay(connection, 12_000, "k1")
        assert owed(connection) == {WATER: 1_000, JULY: 5_000}
        second = pay(connection, 8_000, "k2")
        held = service.standing_of(connection, "p", "1-101")
        assert (held.owed_fen, held.prepaid_fen) == (0, 2_000)
        assert [first.number, second.number] == ["R00000001", "R00000002"]
        post(connection, {"b4": (Charge("2026-08", "water"), 1_500)})
        service.offset(connection, CLERK, "1-101", book=Book.PREPAID, key="k3")
        held = service.standing_of(connection, "p", "1-101")
        assert (held.owed_fen, held.prepaid_fen) == (0, 500)
        assert balanced(connection)


def test_the_payer_may_mean_an_item(estate: Engine) -> None:
    with estate.begin() as connection:
        pay(connection, 6_000, "k1", "water", "electricity")
        assert owed(connection) == {JUNE: 7_000, JULY: 5_000}


def test_a_key_pays_once(estate: Engine) -> None:
    with estate.begin() as connection:
        first = pay(connection, 4_000, "k1")
    with estate.begin() as connection:
        again = pay(connection, 4_000, "k1")
        assert (again.id, again.number) == (first.id, first.number)
        with pytest.raises(RefusedError, match="used for something else"):
            pay(connection, 4_001, "k1")
        assert owed(connection)[JUNE] == 6_000
        assert connection.scalar(select(numbers.c.last)) == 1


def test_at_the_same_moment_too(estate: Engine) -> None:
    numbers_of: list[str | None] = []
    gate = threading.Barrier(4)

    def work(key: str) -> None:
        gate.wait(10)
        with estate.begin() as connection:
            numbers_of.append(pay(connection, 9_000, key).number)

    threads = [threading.Thread(target=work, args=(key,)) for key in ("a", "a", "b", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, numbers_of)) == ["R00000001"] * 2 + ["R00000002"] * 2
    with estate.connect() as connection:
        held = service.standing_of(connection, "p", "1-101")
        assert (held.owed_fen, held.prepaid_fen) == (0, 0)


def test_a_relief_needs_somebody_else(estate: Engine) -> None:
    subject = {"period": "2026-06", "item": "electricity", "amount_fen": 2_500}
    with estate.begin() as connection:
        asked = approvals.ask(
            connection, CLERK, "1-101", kind=Ask.RELIEF, subject=subject, reason="leak repaired"
        )
        assert owed(connection)[JUNE] == 10_000
        with pytest.raises(RefusedError, match="did not make or decide it"):
            approvals.decide(connection, CLERK, asked.id, grant=True)
        granted = approvals.decide(connection, MANAGER, asked.id, grant=True)
        assert granted.state is State.GRANTED
        assert owed(connection)[JUNE] == 7_500
        with pytest.raises(RefusedError, match="granted already"):
            approvals.decide(connection, BOSS, asked.id, grant=True)
        row = reports.collection(connection, "p", first="2026-06", last="2026-06")[0]
        assert (row.charged_fen, row.relieved_fen, row.owed_fen) == (10_000, 2_500, 7_500)
        assert balanced(connection)


def test_two_steps_need_two_others_and_one_refusal_settles_it(estate: Engine) -> None:
    subject = {"period": "2026-06", "item": "water", "amount_fen": 3_000}
    with estate.begin() as connection:
        approvals.set_steps(connection, "p", Ask.RELIEF, 2)
        asked = approvals.ask(
            connection, CLERK, "1-101", kind=Ask.RELIEF, subject=subject, reason="r"
        )
        assert approvals.decide(connection, MANAGER, asked.id, grant=True).state is State.WAITING
        with pytest.raises(RefusedError, match="did not make or decide"):
            approvals.decide(connection, MANAGER, asked.id, grant=True)
        refused = approvals.decide(connection, BOSS, asked.id, grant=False, note="no")
        assert refused.state is State.REFUSED
        assert owed(connection)[WATER] == 3_000


def test_a_void_undoes_a_payment_once_while_its_rest_is_there(estate: Engine) -> None:
    with estate.begin() as connection:
        paid = pay(connection, 20_000, "k1")
        asked = approvals.ask(
            connection, CLERK, "1-101", kind=Ask.VOID, subject={"entry_id": paid.id}, reason="wrong"
        )
        approvals.decide(connection, MANAGER, asked.id, grant=True)
        held = service.standing_of(connection, "p", "1-101")
        assert (held.owed_fen, held.prepaid_fen) == (18_000, 0)
        with pytest.raises(RefusedError, match="voided before"):
            service.void(connection, BOSS, "1-101", entry_id=paid.id, key="again")
        more = pay(connection, 19_000, "k2")
        post(connection, {"b4": (Charge("2026-08", "water"), 800)})
        service.offset(connection, CLERK, "1-101", book=Book.PREPAID, key="k3")
        with pytest.raises(RefusedError, match="used already"):
            service.void(connection, BOSS, "1-101", entry_id=more.id, key="k4")
        (taken,) = reports.takings(connection, "p", first=date(2026, 1, 1), last=date(2027, 1, 1))
        assert (taken.taken_fen, taken.given_fen) == (39_000, 20_000)
        assert balanced(connection)


def test_a_refund_gives_back_no_more_than_is_there(estate: Engine) -> None:
    subject = {"book": "deposit", "channel": "bank", "amount_fen": 6_000}
    with estate.begin() as connection:
        service.take_deposit(connection, CLERK, "1-101", amount_fen=5_000, channel="cash", key="d1")
        asked = approvals.ask(
            connection, CLERK, "1-101", kind=Ask.REFUND, subject=subject, reason="moves out"
        )
        with pytest.raises(RefusedError, match=r"allowed is up to 50\.00"):
            approvals.decide(connection, MANAGER, asked.id, grant=True)
        fitting = approvals.ask(
            connection,
            CLERK,
            "1-101",
            kind=Ask.REFUND,
            subject=subject | {"amount_fen": 5_000},
            reason="moves out",
        )
        approvals.decide(connection, MANAGER, fitting.id, grant=True)
        assert service.standing_of(connection, "p", "1-101").deposit_fen == 0
        assert balanced(connection)


def test_what_a_credit_note_leaves_overpaid_is_prepaid_again(estate: Engine) -> None:
    with estate.begin() as connection:
        pay(connection, 10_000, "k1", "electricity")
        post(connection, {"b1-c": (JUNE, -10_000), "b1-2": (JUNE, 9_000)})
        held = service.standing_of(connection, "p", "1-101")
        (june,) = (each for each in held.statements if each.charge == JUNE)
        assert (june.charged_fen, june.received_fen, june.owed_fen) == (9_000, 9_000, 0)
        assert held.prepaid_fen == 1_000
        assert balanced(connection)


def test_what_was_relieved_is_not_paid_out(estate: Engine) -> None:
    with estate.begin() as connection:
        service.relieve(connection, BOSS, "1-101", charge=JUNE, amount_fen=4_000, key="r")
        pay(connection, 6_000, "k1", "electricity")
        post(connection, {"b1-c": (JUNE, -10_000), "b1-2": (JUNE, 3_000)})
        held = service.standing_of(connection, "p", "1-101")
        (june,) = (each for each in held.statements if each.charge == JUNE)
        assert (june.charged_fen, june.received_fen, june.relieved_fen) == (3_000, 0, 3_000)
        assert (june.owed_fen, held.prepaid_fen) == (0, 6_000)
        assert balanced(connection)


@pytest.mark.parametrize(
    ("fen", "channel", "fault"),
    [(0, "cash", "above 0"), (-5, "cash", "above 0"), (5, "shells", "allowed are cash, bank")],
)
def test_nonsense_is_refused(estate: Engine, fen: int, channel: str, fault: str) -> None:
    with estate.begin() as connection, pytest.raises(RefusedError, match=fault):
        service.pay(connection, CLERK, "1-101", amount_fen=fen, channel=channel, key="k")


def test_another_projects_account_is_unknown(estate: Engine) -> None:
    stranger = Teller("q", "clerk", NOW_US)
    with estate.begin() as connection:
        with pytest.raises(NotFoundError):
            service.pay(connection, stranger, "1-101", amount_fen=1, channel="cash", key="k")
        with pytest.raises(NotFoundError):
            service.standing_of(connection, "p", "1-999")


@pytest.mark.parametrize("name", FROZEN)
def test_what_is_entered_never_changes(estate: Engine, name: str) -> None:
    with estate.begin() as connection:
        subject = {"period": "2026-06", "item": "water", "amount_fen": 1}
        asked = approvals.ask(
            connection, CLERK, "1-101", kind=Ask.RELIEF, subject=subject, reason="r"
        )
        approvals.decide(connection, MANAGER, asked.id, grant=False)
    table = metadata.tables[name]
    column = next(iter(table.c))
    with pytest.raises(DBAPIError, match="never changes"), estate.begin() as connection:
        connection.execute(update(table).values({column.name: column}))
    with pytest.raises(DBAPIError, match="never changes"), estate.begin() as connection:
        connection.execute(delete(table))


FORMER = (
    "INSERT INTO projects (id, name, name_en, time_zone) VALUES ('p', 'p', 'p', 'Asia/Shanghai')",
    (
        "INSERT INTO buildings (id, project_id, name, name_en, position)"
        " VALUES ('b', 'p', 'b', 'b', 0)"
    ),
    (
        "INSERT INTO premises (id, project_id, building_id, name, kind, area_m2, people,"
        " households, holder, phone) VALUES ('1-101', 'p', 'b', '101', 'home', '80', 3, 1, 'h', '')"
    ),
    (
        "INSERT INTO bills (id, project_id, premise_id, service, period, revision, holder,"
        " estimated, total_fen, posted_us) VALUES ('b', 'p', '1-101', 'water', '2026-06',"
        " 1, 'h', 0, 4200, 5)"
    ),
    (
        "INSERT INTO line_items (bill_id, position, code, description, description_en, quantity,"
        " uom, unit_price, amount_fen, formula, evidence)"
        " VALUES ('b', 0, 'water.tier1', '水', 'water',"
        " '8.4', 'm3', '5', 4200, '', '[{\"meter_point\": \"m\"}]')"
    ),
)


def test_bills_of_before_are_in_the_books(empty_engine: Engine) -> None:
    migrate(empty_engine, "0008")
    with empty_engine.begin() as connection:
        for statement in FORMER:
            connection.exec_driver_sql(statement)
    migrate(empty_engine)
    with empty_engine.begin() as connection:
        assert owed(connection) == {WATER: 4_200}
        assert connection.scalar(select(entries.c.kind)) == Kind.BILL
        assert balanced(connection)
        bill = connection.execute(select(bills)).one()
        item = connection.execute(select(line_items)).one()
        assert next_numbers(connection, "p", "bill") == 1 + int(bill.number.lstrip("B"))
    assert (bill.account_id, bill.part, bill.number) == ("1-101", "", "B00000001")
    assert (bill.from_on, bill.to_on) == (date(2026, 6, 1), date(2026, 7, 1))
    assert item.segment == 0
    assert json.loads(bill.inputs)[0]["parts"] == [{"meter_point": "m"}]
