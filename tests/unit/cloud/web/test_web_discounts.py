"""The page of discounts: plans that others approve, who has them, and how they end."""

from datetime import date

import pytest
from sqlalchemy import Engine, insert, select

from cloud.billing.tables import charge_terms
from cloud.discounts import tables
from tests.unit.cloud.web.conftest import LogIn

OWN = {"sec-fetch-site": "same-origin"}
PLAN = {
    "code": "hardship",
    "name": "低保<b>减半",
    "name_en": "Hardship",
    "items": "property-fee",
    "by": "percent",
    "value": "50",
    "at_least_months": "0",
    "from_on": "2026-01-01",
    "cap": "60",
    "reason": "2026-03 决议",
}


@pytest.fixture(autouse=True)
def fee(engine: Engine) -> None:
    """Let a home owe a property fee each month."""
    row = {"project_id": "p", "account_id": "r1", "item": "property-fee", "tariff_id": "t"}
    row |= {"from_on": date(2026, 1, 1), "cycle_months": 1, "in_advance": False, "facts": "{}"}
    with engine.begin() as connection:
        connection.execute(insert(charge_terms).values(**row))


def asked(log_in: LogIn, path: str, form: dict[str, str]) -> None:
    """Ask as a clerk and let the manager grant the newest request."""
    answer = log_in("clerk").post(path, data=form, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals")
    page = log_in("manager").get("/approvals").text
    number = page.split('action="/approvals/')[1].split('"')[0]
    answer = log_in("manager").post(f"/approvals/{number}", data={"grant": "true"}, headers=OWN)
    assert answer.headers["location"] == "/approvals"


def test_a_plan_is_asked_for_approved_given_and_ended(engine: Engine, log_in: LogIn) -> None:
    clerk = log_in("clerk")
    assert "没有生效的优惠方案" in clerk.get("/discounts").text
    assert clerk.post("/discounts", data=PLAN, headers=OWN).headers["location"] == "/approvals"
    waiting = clerk.get("/approvals").text
    assert "低保&lt;b&gt;减半" in waiting
    assert "须由他人审批" in waiting
    number = log_in("manager").get("/approvals").text.split('action="/approvals/')[1].split('"')[0]
    log_in("manager").post(f"/approvals/{number}", data={"grant": "true"}, headers=OWN)
    asked(
        log_in,
        "/accounts/r1/discounts",
        {"code": "hardship", "from_on": "2026-02-01", "reason": "低保证"},
    )
    text = clerk.get("/discounts").text
    assert "减免 50 %" in text
    assert "房01" in text
    assert "每月至多 ¥60.00" in text
    assert "低保&lt;b&gt;减半" in clerk.get("/accounts/r1").text
    with engine.connect() as connection:
        held = connection.execute(select(tables.assignments)).one()
    asked(
        log_in,
        "/discounts/hardship/ends",
        {"ends_on": "2099-01-01", "reason": "x", "account": "r1", "discount": str(held.id)},
    )
    assert "2099-01-01" in clerk.get("/discounts").text


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"items": "water"}, "/discounts?refused=regulated"),
        ({"value": "x"}, "/discounts?refused=1"),
        ({"by": "gift"}, "/discounts?refused=1"),
        ({"from_on": "1.1.2026"}, "/discounts?refused=1"),
        ({"to_on": "2025-01-01"}, "/discounts?refused=1"),
    ],
)
def test_what_may_not_be_says_so(
    engine: Engine, log_in: LogIn, changed: dict[str, str], where: str
) -> None:
    clerk = log_in("clerk")
    answer = clerk.post("/discounts", data=PLAN | changed, headers=OWN)
    assert answer.headers["location"] == where
    assert 'role="alert"' in clerk.get(where).text
    with engine.connect() as connection:
        assert connection.execute(select(tables.plans)).all() == []


@pytest.mark.parametrize("role", ["guard", "maintenance", "resident", "integrator"])
def test_others_see_and_ask_nothing(log_in: LogIn, role: str) -> None:
    client = log_in(role)
    assert client.get("/discounts").status_code == 403
    assert client.post("/discounts", data=PLAN, headers=OWN).status_code == 403


def test_another_sites_form_is_refused(log_in: LogIn) -> None:
    other = {"sec-fetch-site": "cross-site"}
    assert log_in("clerk").post("/discounts", data=PLAN, headers=other).status_code == 403


def test_another_projects_account_is_not_there(log_in: LogIn) -> None:
    form = {"code": "hardship", "from_on": "2026-02-01", "reason": "x"}
    answer = log_in("clerk").post("/accounts/x/discounts", data=form, headers=OWN)
    assert answer.status_code == 404
