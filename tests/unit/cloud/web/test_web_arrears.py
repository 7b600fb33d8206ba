"""The page of arrears: who owes most first, and reminders put on record."""

from datetime import date

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, select

from cloud.config import Settings
from cloud.ledger import repository, service
from cloud.ledger.arrears_tables import reminders
from cloud.ledger.entries import Charge
from cloud.ledger.service import Teller
from cloud.notify.tables import messages
from cloud.sites.tables import premises
from tests.unit.cloud.web.conftest import LogIn

OWN = {"sec-fetch-site": "same-origin"}
NOW_US = 1_790_000_000_000_000


@pytest.fixture(autouse=True)
def owed(engine: Engine) -> None:
    """Let two homes owe something, one of them more."""
    with engine.begin() as connection:
        repository.open_accounts(connection, "p", date(2026, 1, 1))
        charges = {
            "a": ("r1", Charge("2026-08", "water"), 50_00),
            "b": ("r2", Charge("2026-08", "property-fee"), 700_00),
        }
        service.post_bills(connection, Teller("p", "run", NOW_US), charges)


def test_who_owes_most_comes_first_and_names_are_only_text(log_in: LogIn) -> None:
    text = log_in("clerk").get("/arrears").text
    assert text.index("700.00") < text.index("房01")
    assert text.index("房02") < text.index("房01")
    assert "<script>alert" not in text
    assert "尚未催缴" in text


def test_a_reminder_is_put_on_record(engine: Engine, log_in: LogIn) -> None:
    clerk = log_in("clerk")
    form = {"channel": "phone", "cause": "vacant", "note": "月底缴"}
    assert clerk.post("/accounts/r2/reminders", data=form, headers=OWN).status_code == 303
    with engine.connect() as connection:
        held = connection.execute(select(reminders)).one()
    assert (held.account_id, held.cause, held.owed_fen, held.reminded_by) == (
        "r2",
        "vacant",
        700_00,
        "clerk",
    )
    text = clerk.get("/arrears").text
    assert "月底缴" in text
    assert "房屋空置" in text


def test_a_message_waits_beside_its_reminder(app: FastAPI, engine: Engine, log_in: LogIn) -> None:
    app.state.settings = Settings(sms_url="http://127.0.0.1:1/sms")
    clerk = log_in("clerk")
    form = {"channel": "message", "cause": "forgot"}
    answer = clerk.post("/accounts/r2/reminders", data=form, headers=OWN)
    assert answer.headers["location"] == "/arrears?refused=1", "there is no phone on file"
    assert "没有登记电话" in clerk.get("/arrears?refused=1").text
    with engine.begin() as connection:
        row = premises.c.id == "r2"
        connection.execute(premises.update().where(row).values(phone="13800000002"))
    assert "（由系统发送）" in clerk.get("/arrears").text
    for where in ("/arrears", "/arrears?refused=1"):
        answer = clerk.post("/accounts/r2/reminders", data=form, headers=OWN)
        assert answer.headers["location"] == where, "one a day"
    assert "待发送" in clerk.get("/arrears").text
    with engine.begin() as connection:
        values = {"state": "given_up", "attempts": 10, "reason": "sms: answer 500"}
        connection.execute(messages.update().values(**values))
        assert len(connection.execute(select(reminders)).all()) == 1
    text = clerk.get("/arrears").text
    assert "未送达，已放弃" in text
    assert "10 次" in text


@pytest.mark.parametrize("form", [{"channel": "pigeon", "cause": "vacant"}, {"channel": "phone"}])
def test_nonsense_is_refused(engine: Engine, log_in: LogIn, form: dict[str, str]) -> None:
    answer = log_in("clerk").post("/accounts/r2/reminders", data=form, headers=OWN)
    assert answer.status_code == 400 or answer.headers["location"] == "/arrears?refused=1"
    with engine.connect() as connection:
        assert connection.execute(select(reminders)).all() == []


def test_another_projects_account_is_not_there(log_in: LogIn) -> None:
    form = {"channel": "phone", "cause": "vacant"}
    assert log_in("clerk").post("/accounts/x/reminders", data=form, headers=OWN).status_code == 404


@pytest.mark.parametrize("role", ["guard", "maintenance", "resident"])
def test_others_see_no_debts(log_in: LogIn, role: str) -> None:
    assert log_in(role).get("/arrears").status_code == 403
