"""Bill runs on pages: worked out, looked at, then posted or dropped; and billed again."""

from datetime import date

import pytest
from sqlalchemy import Engine, select, update

from cloud.billing.bill_tables import bills, credit_notes
from cloud.billing.run_tables import bill_runs
from cloud.billing.tables import charge_terms, services
from cloud.sites.tables import premises
from tests.unit.cloud.web.conftest import LogIn

OWN = {"sec-fetch-site": "same-origin"}
MONTH = "2026-09"


@pytest.fixture(autouse=True)
def fees(engine: Engine) -> None:
    """Let two homes owe a property fee since September."""
    term = {"project_id": "p", "item": "property-fee", "tariff_id": "cn-property-fee-area"}
    term |= {"from_on": date(2026, 9, 1), "cycle_months": 1, "in_advance": False, "facts": "{}"}
    begun = {"meter_point_id": "mp0", "tariff_id": "t", "cutover_on": date(2026, 9, 1)}
    with engine.begin() as connection:
        connection.execute(services.insert().values(**begun))
        for account in ("r1", "r2"):
            connection.execute(charge_terms.insert().values(**term, account_id=account))


def posted(engine: Engine) -> list[tuple[str, int]]:
    query = select(bills.c.id, bills.c.total_fen).where(bills.c.period == MONTH)
    with engine.connect() as connection:
        return [(name, fen) for name, fen in connection.execute(query.order_by(bills.c.id))]


def test_a_month_is_looked_at_and_then_posted(engine: Engine, log_in: LogIn) -> None:
    clerk = log_in("clerk")
    assert f'<option value="{MONTH}">' in clerk.get("/bill-runs").text
    place = clerk.post("/bill-runs", data={"period": MONTH}, headers=OWN).headers["location"]
    assert place == f"/bill-runs/{MONTH}/1"
    page = clerk.get(place).text
    assert "待复核" in page
    assert "271.50" in page, "two homes of 90.5 m2 at 1.50"
    assert "&lt;script&gt;" in page
    assert posted(engine) == []
    assert clerk.post(f"{place}/post", headers=OWN).headers["location"] == place
    assert "已出账" in clerk.get(place).text
    fee = 135_75
    assert posted(engine) == [
        (f"{MONTH}-r1-property-fee-1", fee),
        (f"{MONTH}-r2-property-fee-1", fee),
    ]
    assert clerk.post(f"{place}/discard", headers=OWN).headers["location"].endswith("refused=1")
    assert len(posted(engine)) == len(("r1", "r2"))


def test_a_run_that_is_dropped_leaves_nothing(engine: Engine, log_in: LogIn) -> None:
    clerk = log_in("clerk")
    clerk.post("/bill-runs", data={"period": MONTH}, headers=OWN)
    assert clerk.post(f"/bill-runs/{MONTH}/1/discard", headers=OWN).status_code == 303
    with engine.connect() as connection:
        assert connection.execute(select(bill_runs).where(bill_runs.c.period == MONTH)).all() == []
    assert f'<option value="{MONTH}">' in clerk.get("/bill-runs").text
    assert clerk.get(f"/bill-runs/{MONTH}/1").status_code == 404


def test_what_comes_out_otherwise_is_taken_back(engine: Engine, log_in: LogIn) -> None:
    clerk = log_in("clerk")
    clerk.post("/bill-runs", data={"period": MONTH}, headers=OWN)
    clerk.post(f"/bill-runs/{MONTH}/1/post", headers=OWN)
    with engine.begin() as connection:
        # the project's other month was billed by hand: let it not stand after this one
        connection.execute(bill_runs.delete().where(bill_runs.c.period != MONTH))
        connection.execute(update(premises).where(premises.c.id == "r1").values(area_m2="100"))
    form = {"first": MONTH, "reason": "面积更正"}
    place = clerk.post("/bill-runs/again", data=form, headers=OWN).headers["location"]
    assert place == f"/bill-runs/{MONTH}/2"
    assert "面积更正" in clerk.get(place).text
    clerk.post(f"{place}/post", headers=OWN)
    assert [fen for _, fen in posted(engine)] == [135_75, 150_00, 135_75]
    with engine.connect() as connection:
        note = connection.execute(select(credit_notes)).one()
    assert (note.bill_id, note.total_fen) == (f"{MONTH}-r1-property-fee-1", -135_75)
    page = clerk.get(f"/bills/{MONTH}-r1-property-fee-1").text
    assert "C00000001" in page
    assert "面积更正" in page


@pytest.mark.parametrize("period", ["2099-01", "2026-13", "x"])
def test_only_months_that_are_over_are_billed(engine: Engine, log_in: LogIn, period: str) -> None:
    answer = log_in("clerk").post("/bill-runs", data={"period": period}, headers=OWN)
    assert answer.status_code == 400 or answer.headers["location"] == "/bill-runs?refused=1"
    with engine.connect() as connection:
        assert len(connection.execute(select(bill_runs)).all()) == 1


@pytest.mark.parametrize("role", ["guard", "maintenance", "resident", "integrator"])
def test_others_run_nothing(log_in: LogIn, role: str) -> None:
    client = log_in(role)
    assert client.get("/bill-runs").status_code == 403
    assert client.post("/bill-runs", data={"period": MONTH}, headers=OWN).status_code == 403


def test_another_site_runs_nothing(log_in: LogIn) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    answer = log_in("clerk").post("/bill-runs", data={"period": MONTH}, headers=headers)
    assert answer.status_code == 403
