"""Arrears by age, reminders on record, and late charges that follow the principal."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from cloud.config import Settings
from cloud.errors import RefusedError
from cloud.ledger import arrears, service
from cloud.ledger import repository as ledger
from cloud.ledger.arrears import Terms
from cloud.ledger.entries import Charge
from cloud.ledger.late_charges import LateTerms
from cloud.ledger.service import Teller
from cloud.work import Worker
from protocols.delivery.records import microseconds
from tests.fixtures.estate import premise, put_on_file

BILLED_ON = date(2026, 3, 1)
FEE = Charge("2026-02", "property-fee")
LATE = Charge("2026-02", "property-fee", late=True)
TERMS = Terms(15, LateTerms(Decimal("0.0005"), 5, Decimal("0.3")), "物业服务合同 第 12 条")


def on(day: date, by: str = "clerk") -> Teller:
    """Return somebody who acts at noon of a local day."""
    noon = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
    return Teller("p", by, microseconds(noon))


@pytest.fixture
def estate(engine: Engine) -> Engine:
    """Give two homes, one of which owes 1,000 yuan since March."""
    with engine.begin() as connection:
        put_on_file(
            connection, date(2026, 1, 1), premises=[premise("1-101"), premise("1-102")], meters=[]
        )
        arrears.set_terms(connection, "p", "property-fee", TERMS)
        service.post_bills(connection, on(BILLED_ON), {"b": ("1-101", FEE, 1_000_00)})
    return engine


def late(engine: Engine, day: date) -> int:
    with engine.begin() as connection:
        return arrears.charge_lateness(connection, on(day), "1-101")


def remind(engine: Engine, day: date) -> None:
    with engine.begin() as connection:
        arrears.remind(connection, on(day), "1-101", channel="phone", cause="forgot")


def owed(engine: Engine) -> dict[Charge, int]:
    with engine.connect() as connection:
        assert ledger.imbalance(connection) == []
        return service.standing_of(connection, "p", "1-101").open_fen()


def test_a_late_charge_counts_from_the_reminder_by_the_day(estate: Engine) -> None:
    assert late(estate, date(2026, 6, 1)) == 0, "nobody was reminded"
    remind(estate, date(2026, 4, 1))
    # the days from 1 to 10 April, at 0.05 % of 1,000 yuan each
    assert late(estate, date(2026, 4, 11)) == 10 * 50
    assert late(estate, date(2026, 4, 11)) == 0
    assert late(estate, date(2026, 4, 21)) == 10 * 50
    assert owed(estate) == {FEE: 1_000_00, LATE: 20 * 50}


def test_it_is_on_what_is_still_owed_never_on_itself_and_capped(estate: Engine) -> None:
    remind(estate, date(2026, 4, 1))
    with estate.begin() as connection:
        service.pay(
            connection,
            on(date(2026, 4, 11)),
            "1-101",
            amount_fen=600_00,
            channel="cash",
            key="k",
        )
    # 10 days on 1,000, then 20 on 400 yuan
    assert late(estate, date(2026, 5, 1)) == 10 * 50 + 20 * 20
    assert late(estate, date(2035, 1, 1)) == 300_00 - (10 * 50 + 20 * 20), "30 % at most"
    assert owed(estate)[LATE] == 300_00


def test_a_credit_note_takes_its_late_charge_back(estate: Engine) -> None:
    remind(estate, date(2026, 4, 1))
    assert late(estate, date(2026, 4, 11)) == 500
    with estate.begin() as connection:
        charges = {"b/credit": ("1-101", FEE, -1_000_00), "b-2": ("1-101", FEE, 900_00)}
        service.post_bills(connection, on(date(2026, 4, 11)), charges)
    # what it was on those days was still owed then; from now on it is less
    assert late(estate, date(2026, 4, 21)) == 10 * 45
    assert owed(estate) == {FEE: 900_00, LATE: 500 + 450}


def test_nothing_is_charged_where_no_contract_says_so(estate: Engine) -> None:
    with estate.begin() as connection:
        other = Charge("2026-02", "water")
        service.post_bills(connection, on(BILLED_ON), {"w": ("1-101", other, 500_00)})
    remind(estate, date(2026, 4, 1))
    late(estate, date(2026, 12, 1))
    assert Charge("2026-02", "water", late=True) not in owed(estate)


def test_arrears_are_told_by_age_with_their_last_reminder(estate: Engine) -> None:
    with estate.begin() as connection:
        june = Charge("2026-05", "property-fee")
        service.post_bills(connection, on(date(2026, 6, 1)), {"c": ("1-101", june, 200_00)})
    remind(estate, date(2026, 6, 5))
    with estate.connect() as connection:
        names = arrears.debtors(connection, "p")
        (found,) = arrears.arrears_of(connection, "p", today=date(2026, 6, 15), account_ids=names)
    assert names == ["1-101"]
    assert found.by_age_fen == (200_00, 0, 1_000_00, 0, 0)
    assert (found.owed_fen, found.oldest_on) == (1_200_00, BILLED_ON)
    assert found.last is not None
    assert (found.last.channel, found.last.cause, found.last.owed_fen) == (
        "phone",
        "forgot",
        1_200_00,
    )


def test_nonsense_is_refused(estate: Engine) -> None:
    day = on(BILLED_ON + timedelta(days=40))
    with estate.begin() as connection:
        with pytest.raises(RefusedError, match="owes nothing"):
            arrears.remind(connection, day, "1-102", channel="phone")
        with pytest.raises(RefusedError, match="channel: 'pigeon'"):
            arrears.remind(connection, day, "1-101", channel="pigeon")
        with pytest.raises(RefusedError, match="source"):
            arrears.set_terms(connection, "p", "water", Terms(1, TERMS.late, " "))


def test_the_worker_charges_lateness_once_a_day(
    estate: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    remind(estate, date(2026, 4, 1))
    worker = Worker(estate, Settings())
    for day, fen in ((11, 500), (11, 500), (12, 550)):
        now_us = on(date(2026, 4, day)).now_us
        monkeypatch.setattr("cloud.work.time.time_ns", lambda now_us=now_us: now_us * 1000)
        worker.step()
        assert owed(estate)[LATE] == fen
