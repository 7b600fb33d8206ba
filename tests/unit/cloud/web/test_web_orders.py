"""Work orders on their page and in the API: who sees them, who moves them on, and how."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from httpx import Client
from sqlalchemy import Engine

from cloud.maintenance import repository
from cloud.maintenance.endpoints import router
from cloud.maintenance.orders import Subject

LogIn = Callable[[str], Client]
OWN = {"sec-fetch-site": "same-origin"}
NOW_US = 1_790_000_000_000_000


@pytest.fixture(autouse=True)
def opened(app: FastAPI, engine: Engine) -> None:
    """Open two work orders."""
    app.include_router(router, prefix="/api/v1")
    subjects = [
        Subject("pool_loss", f"pool/loss/{month}", f"{month} 线损超过上限 5%", f"{month}: loss")
        for month in ("2026-09", "2026-10")
    ]
    with engine.begin() as connection:
        repository.open_orders(connection, "p", subjects, by="clerk", at_us=NOW_US)
        repository.open_orders(connection, "p", subjects, by="clerk", at_us=NOW_US)


def test_a_manager_dispatches_and_a_repairer_goes_on(log_in: LogIn) -> None:
    manager = log_in("manager")
    text = manager.get("/work-orders").text
    assert "2026-10 线损超过上限 5%" in text
    assert text.index("2026-10 线损") < text.index("2026-09 线损")
    assert text.count("2026-10 线损") == 1
    answer = manager.post("/work-orders/2/moves", data={"state": "dispatched"}, headers=OWN)
    assert answer.headers["location"] == "/work-orders?refused=1"
    assert "未能办理" in manager.get("/work-orders?refused=1").text
    said = {"state": "dispatched", "assignee": "maintenance"}
    assert manager.post("/work-orders/2/moves", data=said, headers=OWN).status_code == 303
    repairer = log_in("maintenance")
    assert "接单" in repairer.get("/work-orders").text
    for state, note in (("taken", ""), ("in_progress", ""), ("done", "<b>已紧固</b>")):
        said = {"state": state, "note": note}
        answer = repairer.post("/work-orders/2/moves", data=said, headers=OWN)
        assert answer.headers["location"] == "/work-orders#order-2"
    text = log_in("manager").get("/work-orders").text
    assert "&lt;b&gt;已紧固&lt;/b&gt;" in text


def test_who_has_nothing_to_do_with_them_does_not_see_them(log_in: LogIn, stranger: Client) -> None:
    for role in ("clerk", "guard", "resident", "integrator"):
        client = log_in(role)
        assert client.get("/work-orders").status_code == 403
        assert (
            client.post("/work-orders/1/moves", data={"state": "closed"}, headers=OWN).status_code
            == 403
        )
    assert stranger.get("/work-orders").status_code == 303
    assert "工单" not in log_in("clerk").get("/bills").text
    assert "工单" in log_in("maintenance").get("/work-orders").text


def test_the_api_lists_opens_and_moves(log_in: LogIn, stranger: Client) -> None:
    manager = log_in("manager")
    found = manager.get("/api/v1/work-orders?open=true&limit=1").json()
    assert [each["id"] for each in found["items"]] == [2]
    rest = manager.get(f"/api/v1/work-orders?after={found['next']}").json()
    assert [each["id"] for each in rest["items"]] == [1]
    path = "/api/v1/work-orders/1"
    assert manager.post(f"{path}/moves", json={"state": "done"}).status_code == 409
    moved = manager.post(f"{path}/moves", json={"state": "closed", "note": "误报"}).json()
    assert (moved["state"], moved["title_en"]) == ("closed", "2026-09: loss")
    (step,) = log_in("clerk").get(path).json()["steps"]
    assert (step["before"], step["after"], step["moved_by"]) == ("accepted", "closed", "manager")
    assert manager.get("/api/v1/work-orders?open=true").json()["next"] is None
    assert manager.get("/api/v1/work-orders/99").status_code == 404
    assert log_in("clerk").post(f"{path}/moves", json={"state": "x"}).status_code == 403
    assert log_in("resident").get("/api/v1/work-orders").status_code == 403
    assert stranger.get("/api/v1/work-orders").status_code == 401
