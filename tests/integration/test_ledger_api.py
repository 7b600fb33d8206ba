"""Money through the API, as a cashier's program would: by roles, with keys, approved by others."""

import warnings
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import Client
from sqlalchemy import Engine, insert

from cloud import api, auth, problems
from cloud.config import Settings
from cloud.ledger import repository, service
from cloud.ledger.entries import Charge
from cloud.ledger.service import Teller
from cloud.sites.tables import users
from tests.fixtures.estate import premise, put_on_file

with warnings.catch_warnings():
    # it would rather have another client library than the one that is locked
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PASSWORD = "correct horse battery"
PEOPLE = {"clerk": None, "manager": None, "guard": None, "resident": "1-102"}
As = Callable[[str], Client]


@pytest.fixture
def clients(engine: Engine) -> Iterator[As]:
    """Give clients that are logged in by role, over two homes with a bill each."""
    digest = auth.hash_password(PASSWORD)
    with engine.begin() as connection:
        homes = [premise("1-101"), premise("1-102")]
        put_on_file(connection, date(2026, 6, 1), premises=homes, meters=[])
        repository.open_accounts(connection, "p", date(2026, 6, 1))
        charges = {
            "b1": ("1-101", Charge("2026-06", "electricity"), 12_345),
            "b2": ("1-102", Charge("2026-06", "electricity"), 7_000),
        }
        service.post_bills(connection, Teller("p", "run", 1_790_000_000_000_000), charges)
        connection.execute(
            insert(users),
            [
                {
                    "project_id": "p",
                    "username": role,
                    "name": role,
                    "role": role,
                    "premise_id": home,
                    "password_hash": digest,
                }
                for role, home in PEOPLE.items()
            ],
        )
    app = FastAPI()
    app.state.engine = engine
    app.state.settings = Settings()
    app.include_router(api.router, prefix="/api/v1")
    problems.install(app)
    made: list[TestClient] = []

    def as_role(role: str) -> Client:
        client = TestClient(app, base_url="http://testserver/api/v1/")
        client.headers["authorization"] = f"Bearer {auth.log_in(engine, role, PASSWORD)}"
        made.append(client)
        return client

    yield as_role
    for client in made:
        client.close()


def paid(amount: str, key: str = "k1") -> dict[str, Any]:
    return {"account": "1-101", "amount": amount, "channel": "wechat", "key": key}


def test_a_payment_a_relief_and_the_report(clients: As) -> None:
    clerk, manager = clients("clerk"), clients("manager")
    first = clerk.post("payments", json=paid("100.00"))
    assert first.status_code == 201
    body = first.json()
    assert (body["number"], body["cash"], body["prepaid"]) == ("R00000001", "100.00", "0.00")
    assert body["charges"] == [
        {"period": "2026-06", "item": "electricity", "late": False, "amount": "-100.00"}
    ]
    assert clerk.post("payments", json=paid("100.00")).json()["id"] == body["id"]
    other = clerk.post("payments", json=paid("100.01"))
    assert (other.status_code, "used for something else" in other.json()["detail"]) == (409, True)
    wanted = {
        "account": "1-101",
        "kind": "relief",
        "amount": "3.45",
        "period": "2026-06",
        "item": "electricity",
        "reason": "水表故障",
    }
    asked = clerk.post("approvals", json=wanted).json()
    assert asked["state"] == "waiting"
    refused = clerk.post(f"approvals/{asked['id']}/decisions", json={"grant": True})
    assert refused.status_code == 409
    granted = manager.post(f"approvals/{asked['id']}/decisions", json={"grant": True, "note": "ok"})
    assert (granted.status_code, granted.json()["state"]) == (201, "granted")
    account = clerk.get("accounts/1-101").json()
    assert (account["owed"], account["prepaid"]) == ("20.00", "0.00")
    rows = manager.get("collection", params={"first": "2026-06", "last": "2026-06", "by": "item"})
    assert rows.json() == [
        {
            "name": ["electricity"],
            "charged": "193.45",
            "received": "100.00",
            "relieved": "3.45",
            "offset": "0.00",
            "owed": "90.00",
        }
    ]
    kinds = [each["kind"] for each in clerk.get("accounts/1-101/entries").json()]
    assert kinds == ["bill", "payment", "relief"]


def test_who_may_what(clients: As) -> None:
    resident, guard = clients("resident"), clients("guard")
    assert resident.get("accounts/1-102").json()["owed"] == "70.00"
    assert resident.get("accounts/1-101").status_code == 404
    assert resident.post("payments", json=paid("1.00")).status_code == 403
    assert guard.get("accounts/1-101").status_code == 403
    assert guard.get("approvals").status_code == 403


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"amount": 1.5}, "amount"),
        ({"amount": "1.234"}, "amount"),
        ({"amount": "-1.00"}, "amount"),
        ({"amount": "0.00"}, "amount"),
        ({"channel": "shells"}, "channel"),
        ({"key": "a b"}, "key"),
        ({"items": []}, "items"),
    ],
)
def test_a_bad_payment_names_its_key(clients: As, change: dict[str, Any], key: str) -> None:
    answer = clients("clerk").post("payments", json=paid("1.00") | change)
    assert answer.status_code == 422
    assert any(key in fault["key"] for fault in answer.json()["errors"])


def test_an_approval_says_what_it_needs(clients: As) -> None:
    wanted = {"account": "1-101", "kind": "refund", "reason": "r", "amount": "1.00"}
    answer = clients("clerk").post("approvals", json=wanted)
    assert (answer.status_code, "book, channel: missing" in answer.json()["detail"]) == (409, True)


PLAN = {
    "code": "staff",
    "name": "员工优惠",
    "name_en": "Staff",
    "items": ["property-fee"],
    "by": "percent",
    "value": "7.5",
    "cap": "20.00",
    "from_on": "2026-06-01",
    "reason": "2026 年第 3 次业主大会决议",
}


def test_discounts_are_asked_for_and_approved_by_others(clients: As) -> None:
    clerk, manager = clients("clerk"), clients("manager")
    asked = clerk.post("discount-plans", json=PLAN)
    assert asked.status_code == 201, asked.text
    assert (asked.json()["kind"], asked.json()["account"]) == ("discount_plan", None)
    assert asked.json()["subject"]["items"] == "property-fee"
    assert clerk.get("discount-plans").json() == []
    decision = {"grant": True}
    mine = clerk.post(f"approvals/{asked.json()['id']}/decisions", json=decision)
    assert mine.status_code == 409
    assert manager.post(f"approvals/{asked.json()['id']}/decisions", json=decision).is_success
    (plan,) = clerk.get("discount-plans").json()
    assert (plan["cap"], plan["value"], plan["to_on"]) == ("20.00", "7.5", None)
    wanted = {"code": "staff", "from_on": "2026-07-01", "to_on": "2099-01-01", "reason": "员工"}
    given = clerk.post("accounts/1-101/discounts", json=wanted).json()
    manager.post(f"approvals/{given['id']}/decisions", json=decision)
    (held,) = clerk.get("accounts/1-101/discounts").json()
    assert (held["code"], held["from_on"], held["to_on"]) == ("staff", "2026-07-01", "2099-01-01")
    end = {"ends_on": "2098-12-31", "account": "1-101", "discount": held["id"], "reason": "离职"}
    ended = clerk.post("discount-plans/staff/ends", json=end).json()
    manager.post(f"approvals/{ended['id']}/decisions", json=decision)
    (held,) = clerk.get("accounts/1-101/discounts").json()
    assert held["to_on"] == "2098-12-31"


def test_what_may_not_be_lowered_is_refused_with_its_reason(clients: As) -> None:
    answer = clients("clerk").post("discount-plans", json=PLAN | {"items": ["water"]})
    assert answer.status_code == 409
    assert "items: water: a regulated price" in answer.text
    for role in ("guard", "resident"):
        assert clients(role).post("discount-plans", json=PLAN).status_code == 403
        assert clients(role).get("discount-plans").status_code == 403
    # a plan is asked for by its own route: it is of no account
    form = {"account": "1-101", "kind": "discount_plan", "reason": "x"}
    assert clients("clerk").post("approvals", json=form).status_code == 422


def test_a_reminder_says_what_came_of_its_message(clients: As) -> None:
    form = {"channel": "phone", "cause": "forgot"}
    (said,) = clients("clerk").post("accounts/1-101/reminders", json=form).json()
    assert (said["channel"], said["message"]) == ("phone", None)
