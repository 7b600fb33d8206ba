"""Discounts: approved by others, on the bills of a run, computed anew, and never on posted ones."""

import json
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import DBAPIError

from cloud.billing import runs
from cloud.billing.bill_tables import bills, credit_notes, line_items
from cloud.billing.bundle import bundle_of
from cloud.billing.cycles import Days
from cloud.billing.tables import charge_terms
from cloud.billing.verify_bill import verify
from cloud.discounts import repository, service, tables
from cloud.discounts.plans import By, Plan
from cloud.errors import NotFoundError, RefusedError
from cloud.ledger import approvals, reports
from cloud.ledger import repository as ledger
from cloud.ledger.approvals import Ask, Request, State
from cloud.ledger.service import Teller, pay
from cloud.metering.tables import meter_points
from cloud.sites.tables import premises
from tests.fixtures.estate import at, meter, premise, put_on_file

START = date(2026, 10, 1)
EVER = Days(START, date.max)


def teller(by: str, day: str = "2026-10-05") -> Teller:
    return Teller("p", by, at(f"{day}T12:00:00"))


def plan(code: str = "staff", **changed: object) -> Plan:
    fields: dict[str, object] = {"name": "员工优惠", "name_en": "Staff", "items": ("fee",)}
    fields |= {"by": By.PERCENT, "value": Decimal("7.5"), "at_least_months": 0, "cap_fen": None}
    fields |= {"days": EVER, "reason": "2026 年第 3 次业主大会决议"}
    return Plan(code, **(fields | changed))  # type: ignore[arg-type]  # fields of many types


@pytest.fixture
def estate(engine: Engine) -> Engine:
    """Give two homes with a fee each month, one of which has a water meter."""
    fee = {"tariff": "cn-property-fee-area", "item": "fee", "cycle": "month", "in_advance": True}
    hand = {"gateway": None, "device": None, "profile": None, "point": None}
    with engine.begin() as connection:
        put_on_file(
            connection,
            START,
            premises=[premise("1-101"), premise("1-102", "95.35")],
            meters=[
                meter("w1", premise="1-101", service="water", exponent=-3, **hand)
                | {"tariff": "cn-beijing-water"}
            ],
            charges=[fee | {"premise": name, "from_on": str(START)} for name in ("1-101", "1-102")],
        )
    return engine


def ask(connection: Connection, wanted: Plan | None = None, by: str = "wang") -> Request:
    return service.ask_plan(connection, teller(by), wanted or plan())


def grant(connection: Connection, request: Request, by: str = "li") -> Request:
    return approvals.decide(connection, teller(by), request.id, grant=True)


def give(connection: Connection, account: str = "1-101", code: str = "staff") -> Request:
    asked = service.ask_discount(
        connection, teller("wang"), account, code=code, days=EVER, reason="员工"
    )
    return grant(connection, asked)


def billed(engine: Engine, period: str) -> dict[str, int]:
    """Bill a month, and return its fees by account; every bundle holds."""
    runs.run(engine, "p", period, allow_unverified=True)
    with engine.connect() as connection:
        rows = connection.execute(
            select(bills).where(bills.c.period == period, bills.c.service == "fee")
        ).all()
        for row in rows:
            assert verify(bundle_of(connection, row.id))
        return {row.account_id: row.total_fen for row in rows}


def test_nothing_takes_effect_before_everybody_has_approved(estate: Engine) -> None:
    with estate.begin() as connection:
        approvals.set_steps(connection, "p", Ask.PLAN, 2)
        asked = ask(connection)
        with pytest.raises(RefusedError, match="somebody who did not make"):
            grant(connection, asked, by="wang")
        assert grant(connection, asked).state is State.WAITING
        with pytest.raises(RefusedError, match="somebody who did not make or decide"):
            grant(connection, asked)
        assert repository.plans_of(connection, "p") == {}
        with pytest.raises(RefusedError, match="code: staff: allowed are plans in effect: none"):
            give(connection)
        assert grant(connection, asked, by="zhao").state is State.GRANTED
        assert list(repository.plans_of(connection, "p")) == ["staff"]
    with estate.begin() as connection:
        wanted = service.ask_discount(
            connection, teller("wang"), "1-101", code="staff", days=EVER, reason="员工"
        )
    assert billed(estate, "2026-10") == {"1-101": 120_00, "1-102": 143_03}
    with estate.begin() as connection:
        approvals.decide(connection, teller("li"), wanted.id, grant=False)
        assert repository.grants_of(connection, "p", ["1-101"]) == {}
        give(connection)
        assert list(repository.grants_of(connection, "p", ["1-101", "1-102"])) == ["1-101"]


def test_a_run_shows_the_discount_and_the_books_agree(estate: Engine) -> None:
    with estate.begin() as connection:
        grant(connection, ask(connection))
        give(connection)
    assert billed(estate, "2026-10") == {"1-101": 111_00, "1-102": 143_03}
    with estate.begin() as connection:
        rows = connection.execute(
            select(line_items).where(line_items.c.bill_id == "2026-10-1-101-fee-1")
        ).all()
        assert [(row.code, row.amount_fen) for row in rows][1:] == [("discount.staff", -9_00)]
        assert rows[1].formula == "120.00 元 × 7.5% = -9.00 元"
        pay(connection, teller("li"), "1-101", amount_fen=100_00, channel="cash", key="k")
        (row,) = reports.collection(connection, "p", first="2026-10", last="2026-10", by=("item",))
        assert ledger.imbalance(connection) == []
    assert (row.charged_fen, row.received_fen) == (254_03, 100_00)
    assert row.charged_fen == row.received_fen + row.relieved_fen + row.offset_fen + row.owed_fen


def test_what_is_posted_stays_when_a_plan_ends_or_begins(estate: Engine) -> None:
    with estate.begin() as connection:
        grant(connection, ask(connection))
        give(connection)
    assert billed(estate, "2026-10")["1-101"] == 111_00
    with estate.begin() as connection:
        ended = service.ask_end(
            connection,
            teller("wang"),
            None,
            code="staff",
            discount_id=None,
            ends_on=date(2026, 11, 1),
            reason="合同到期",
        )
        grant(connection, ended)
        late = plan("late", value=Decimal(50))
        grant(connection, ask(connection, late))
        give(connection, "1-102", "late")
    # billed again for another reason: the area was wrong
    with estate.begin() as connection:
        row = premises.c.id == "1-101"
        connection.execute(update(premises).where(row).values(area_m2="100.00"))
    runs.revise(estate, "p", "2026-10", reason="area", by="wang", allow_unverified=True)
    with estate.connect() as connection:
        taken = connection.scalars(select(credit_notes.c.bill_id)).all()
        query = select(bills.c.total_fen).where(bills.c.id == "2026-10-1-101-fee-2")
        assert connection.scalar(query) == 150_00 - 11_25
        assert verify(bundle_of(connection, "2026-10-1-101-fee-2"))
    assert list(taken) == ["2026-10-1-101-fee-1"], "the other one was posted without a plan"
    assert billed(estate, "2026-11") == {"1-101": 150_00, "1-102": 71_51}


def test_one_account_loses_it_and_may_have_it_again(estate: Engine) -> None:
    with estate.begin() as connection:
        grant(connection, ask(connection))
        give(connection)
        (held,) = repository.assignments_of(connection, "p")
        with pytest.raises(RefusedError, match="account 1-101 has staff from 2026-10-01 on"):
            give(connection)
        for day, differs in ((date(2026, 10, 4), "ends_on: 2026-10-04"), (date.max, "ends_on")):
            with pytest.raises(RefusedError, match=differs):
                service.ask_end(
                    connection,
                    teller("wang"),
                    "1-101",
                    code="staff",
                    discount_id=held.id,
                    ends_on=day,
                    reason="x",
                )
        ended = service.ask_end(
            connection,
            teller("wang"),
            "1-101",
            code="staff",
            discount_id=held.id,
            ends_on=date(2026, 10, 17),
            reason="离职",
        )
        grant(connection, ended)
        again = service.ask_discount(
            connection,
            teller("wang"),
            "1-101",
            code="staff",
            days=Days(date(2026, 10, 27), date(2026, 12, 1)),
            reason="复职",
        )
        grant(connection, again)
    # 16 days, then 5 more, of 31: each span has its line
    assert billed(estate, "2026-10")["1-101"] == 120_00 - 4_65 - 1_45


def test_regulated_prices_and_nonsense_are_refused(estate: Engine) -> None:
    with estate.begin() as connection:
        subject = {"code": "w", "name": "x", "name_en": "x", "items": ["water"], "by": "percent"}
        subject |= {"value": "5", "at_least_months": 0, "cap_fen": None, "from_on": "2026-10-01"}
        subject |= {"to_on": None, "reason": "x"}
        with pytest.raises(RefusedError, match="items: water: a regulated price"):
            approvals.ask(
                connection, teller("wang"), None, kind=Ask.PLAN, subject=subject, reason="x"
            )
        grant(connection, ask(connection))
        with pytest.raises(RefusedError, match="code: staff: there is such a plan"):
            ask(connection)
        with pytest.raises(NotFoundError):
            give(connection, "9-999")
        with pytest.raises(RefusedError, match="a discount is of an account"):
            approvals.ask(
                connection, teller("wang"), None, kind=Ask.DISCOUNT, subject={}, reason="x"
            )
    with estate.begin() as connection:
        # whatever a meter bills, by whichever name
        connection.execute(update(meter_points).values(service="cooling"))
        with pytest.raises(RefusedError, match="items: cooling: charged by meters"):
            ask(connection, plan("c", items=("cooling",)))
    # two who asked for one code: the second can no longer be granted
    with estate.begin() as connection:
        first, second = ask(connection, plan("a")), ask(connection, plan("a"))
        grant(connection, first)
        with pytest.raises(RefusedError, match="code: a: there is such a plan"):
            grant(connection, second)


def test_an_item_that_became_regulated_is_held_with_its_reason(estate: Engine) -> None:
    with estate.begin() as connection:
        grant(connection, ask(connection))
        give(connection)
        connection.execute(
            update(charge_terms)
            .where(charge_terms.c.account_id == "1-101")
            .values(tariff_id="cn-beijing-heating-network", cycle_months=12)
        )
    assert "1-101" not in billed(estate, "2026-10")
    with estate.connect() as connection:
        preview = runs.draft(connection, "p", "2026-11", allow_unverified=True)
    assert any("heating, a regulated price" in each.reason for each in preview.held)


def test_the_trail_is_never_changed(estate: Engine) -> None:
    with estate.begin() as connection:
        grant(connection, ask(connection))
        give(connection)
    for table in (tables.plans, tables.assignments):
        with pytest.raises(DBAPIError, match="posted is posted"), estate.begin() as connection:
            connection.execute(table.update().values(code="other"))
    with estate.connect() as connection:
        (row,) = connection.execute(select(tables.plans)).all()
    assert json.loads(row.subject)["value"] == "7.5"
