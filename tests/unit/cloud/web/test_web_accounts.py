"""What is done to one account on its page: a single charge once, a move on a day."""

from datetime import date

import pytest
from sqlalchemy import Engine, select

from cloud.billing.bill_tables import bills
from cloud.ledger.tables import accounts
from tests.unit.cloud.web.conftest import LogIn

OWN = {"sec-fetch-site": "same-origin"}
REPAIR = {"item": "repair", "description": "更换水龙头", "amount": "58.00", "key": "k"}


def test_a_single_charge_is_billed_once(engine: Engine, log_in: LogIn) -> None:
    clerk = log_in("clerk")
    for _ in range(2):
        answer = clerk.post("/accounts/r3/charges", data=REPAIR, headers=OWN)
        assert answer.headers["location"] == "/accounts/r3"
    query = select(bills.c.total_fen).where(bills.c.service == "repair")
    with engine.connect() as connection:
        assert list(connection.scalars(query)) == [58_00]
    assert "58.00" in clerk.get("/accounts/r3").text


@pytest.mark.parametrize(
    "changed", [{"amount": "0"}, {"amount": "x"}, {"description": " "}, {"item": "Repair!"}]
)
def test_nonsense_is_refused(engine: Engine, log_in: LogIn, changed: dict[str, str]) -> None:
    answer = log_in("clerk").post("/accounts/r3/charges", data=REPAIR | changed, headers=OWN)
    assert answer.headers["location"] == "/accounts/r3?refused=1"
    with engine.connect() as connection:
        assert connection.execute(select(bills).where(bills.c.service == "repair")).all() == []


def test_who_moves_in_has_an_account_of_their_own(engine: Engine, log_in: LogIn) -> None:
    clerk = log_in("clerk")
    form = {"on": "2026-10-12", "holder": "新业主"}
    answer = clerk.post("/accounts/r3/move", data=form, headers=OWN)
    assert answer.headers["location"] == "/accounts/r3-2"
    with engine.connect() as connection:
        held = {row.id: row for row in connection.execute(select(accounts))}
    assert held["r3"].closed_on == held["r3-2"].opened_on == date(2026, 10, 12)
    assert held["r3-2"].held_from == date(2026, 10, 12)
    assert "已于 2026-10-12 迁出" in clerk.get("/accounts/r3").text
    assert "新业主" in clerk.get("/accounts/r3-2").text
    again = clerk.post("/accounts/r3/move", data=form, headers=OWN)
    assert again.headers["location"].endswith("refused=1")


@pytest.mark.parametrize("path", ["charges", "move"])
@pytest.mark.parametrize("role", ["guard", "maintenance", "resident"])
def test_others_change_no_account(log_in: LogIn, role: str, path: str) -> None:
    form = REPAIR | {"on": "2026-10-12"}
    answer = log_in(role).post(f"/accounts/r3/{path}", data=form, headers=OWN)
    assert answer.status_code == 403
