"""The cashier's desk: found, paid, relieved by another, reported; and shown to nobody else."""

from collections.abc import Callable
from datetime import date

import pytest
from httpx import Client
from sqlalchemy import Engine

from cloud.ledger import repository, service
from cloud.ledger.entries import Charge
from cloud.ledger.service import Teller

LogIn = Callable[[str], Client]
PERIOD = "2026-10"
OWN = {"sec-fetch-site": "same-origin"}
NOW_US = 1_790_000_000_000_000


@pytest.fixture(autouse=True)
def owed(engine: Engine) -> None:
    """Charge two homes of the estate, and one of another."""
    with engine.begin() as connection:
        repository.open_accounts(connection, "p", date(2026, 1, 1))
        repository.open_accounts(connection, "q", date(2026, 1, 1))
        charges = {
            "a": ("r1", Charge(PERIOD, "electricity"), 12_345),
            "b": ("r2", Charge(PERIOD, "water"), 6_789),
        }
        service.post_bills(connection, Teller("p", "run", NOW_US), charges)


def post(client: Client, path: str, **fields: str) -> str:
    """Send a form from our own page; return where it leads."""
    answer = client.post(path, data=fields, headers=OWN)
    assert answer.status_code == 303
    return answer.headers["location"]


def test_who_owes_most_comes_first_and_names_are_only_text(log_in: LogIn) -> None:
    text = log_in("clerk").get("/cashier").text
    assert text.index("¥123.45") < text.index("¥67.89")
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text
    found = log_in("clerk").get("/cashier", params={"text": "1号楼房02"}).text
    assert "/accounts/r2" in found
    assert "/accounts/r1" not in found
    assert "/accounts/x" not in log_in("clerk").get("/cashier", params={"page": 2}).text


def test_a_payment_in_two_parts(log_in: LogIn) -> None:
    clerk = log_in("clerk")
    assert 'value="123.45"' in clerk.get("/accounts/r1").text
    form = {"amount": "100", "channel": "wechat", "key": "k1"}
    done = post(clerk, "/accounts/r1/payments", **form)
    assert done == "/accounts/r1?done=R00000001"
    assert post(clerk, "/accounts/r1/payments", **form) == done
    page = clerk.get(done).text
    assert "收据 R00000001" in page
    assert "¥23.45" in page
    post(clerk, "/accounts/r1/payments", amount="30.00", channel="cash", key="k2")
    page = clerk.get("/accounts/r1").text
    assert "预收 ¥6.55" in page


def test_a_relief_is_granted_by_another(log_in: LogIn) -> None:
    clerk, manager = log_in("clerk"), log_in("manager")
    asked = post(
        clerk,
        "/accounts/r2/reliefs",
        charge=f"{PERIOD}:water:0",
        amount="7.89",
        reason="漏水已修",
    )
    assert asked == "/accounts/r2?done=asked"
    assert "由您申请" in clerk.get("/approvals").text
    assert post(clerk, "/approvals/1", grant="true") == "/approvals?refused=1"
    assert "漏水已修" in manager.get("/approvals").text
    assert post(manager, "/approvals/1", grant="true", note="同意") == "/approvals"
    assert "¥60.00" in clerk.get("/accounts/r2").text
    report = manager.get("/collection", params={"first": PERIOD, "last": PERIOD}).text
    assert "¥7.89" in report
    assert "¥191.34" in report


def test_what_does_not_fit_is_refused_and_enters_nothing(log_in: LogIn) -> None:
    clerk = log_in("clerk")
    refused = "/accounts/r1?refused=1"
    assert post(clerk, "/accounts/r1/payments", amount="-1", channel="cash", key="k") == refused
    assert post(clerk, "/accounts/r1/payments", amount="1", channel="shells", key="k") == refused
    assert post(clerk, "/accounts/r1/offsets", key="k") == refused
    assert "未受理" in clerk.get(refused).text
    assert "¥123.45" in clerk.get("/accounts/r1").text


def test_a_void_is_asked_for_and_granted(log_in: LogIn) -> None:
    clerk, manager = log_in("clerk"), log_in("manager")
    post(clerk, "/accounts/r1/payments", amount="123.45", channel="cash", key="k1")
    entry = clerk.get("/accounts/r1").text.split('name="entry" value="')[1].split('"')[0]
    post(clerk, "/accounts/r1/voids", entry=entry, reason="收错户")
    assert "作废待审批" in clerk.get("/accounts/r1").text
    post(manager, "/approvals/1", grant="true")
    assert 'value="123.45"' in clerk.get("/accounts/r1").text


@pytest.mark.parametrize("path", ["/cashier", "/accounts/r1", "/approvals", "/collection"])
@pytest.mark.parametrize("role", ["maintenance", "guard", "integrator", "resident"])
def test_nobody_else_sees_it(log_in: LogIn, role: str, path: str) -> None:
    assert log_in(role).get(path).status_code == 403


def test_other_projects_and_other_sites_get_nothing(log_in: LogIn) -> None:
    clerk = log_in("clerk")
    assert clerk.get("/accounts/x").status_code == 404
    form = {"amount": "1", "channel": "cash", "key": "k"}
    assert clerk.post("/accounts/x/payments", data=form, headers=OWN).status_code == 404
    foreign = {"sec-fetch-site": "cross-site"}
    assert clerk.post("/accounts/r1/payments", data=form, headers=foreign).status_code == 403
