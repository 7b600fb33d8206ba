"""Orders by the API and notifications by HTTP, as the channels send them to a public address."""

import asyncio
import contextlib
import time
import warnings
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from httpx import Client
from sqlalchemy import Engine, func, insert, select

from cloud import auth, problems
from cloud.api import router as api
from cloud.config import Settings
from cloud.payments.notifications import router as notifications
from cloud.payments.states import Order, State
from cloud.payments.tables import notices
from cloud.sites.tables import users
from cloud.work import Worker
from tests.fixtures.desks import Desk
from tests.fixtures.payment_counterpart import Counterpart, rsa_key

with warnings.catch_warnings():
    # it would rather have another client library than the one that is locked
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PASSWORD = "correct horse battery"
PEOPLE = {"clerk": None, "resident": "1-102", "neighbour": "1-101", "guard": None}
both = pytest.mark.parametrize("name", ["wechat", "alipay"])


@pytest.fixture
def desk(engine: Engine, counterpart: Counterpart) -> Desk:
    return Desk(engine, counterpart)


@pytest.fixture
def client(desk: Desk) -> Iterator[Client]:
    """Give a stranger's client of an application with both channels."""
    app = FastAPI()
    app.state.engine = desk.engine
    app.state.channels = desk.counterpart.channels
    app.include_router(api, prefix="/api/v1")
    app.include_router(notifications)
    problems.install(app)
    digest = auth.hash_password(PASSWORD)
    row = {"project_id": "p", "password_hash": digest}
    with desk.engine.begin() as connection:
        for name, home in PEOPLE.items():
            role = "resident" if home else name
            more = {"username": name, "name": name, "role": role, "premise_id": home}
            connection.execute(insert(users).values(**row, **more))
    with TestClient(app) as client:
        yield client


def log_in(client: Client, desk: Desk, name: str) -> None:
    client.headers["authorization"] = f"Bearer {auth.log_in(desk.engine, name, PASSWORD)}"


@both
def test_a_notification_over_http(client: Client, desk: Desk, name: str) -> None:
    order = desk.order(name)
    desk.pay(order)
    side, path = desk.counterpart.side(name), f"/payments/{name}/notify"
    forged_headers, forged = side.notification(order.number, key=rsa_key("forger"))
    refused = client.post(path, content=forged, headers=forged_headers)
    assert (refused.status_code, desk.sums()) == (401, (10_000, 0))
    expected = {"wechat": (204, b""), "alipay": (200, b"success")}[name]
    headers, body = side.notification(order.number)
    for _ in range(3):
        answer = client.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.content) == expected
    assert desk.sums() == (0, 0)
    with desk.engine.connect() as connection:
        # what is forged is not kept: anybody could fill the disk
        assert connection.scalar(select(func.count()).select_from(notices)) == 1


def test_what_no_channel_sends(client: Client, desk: Desk) -> None:
    assert desk
    assert client.post("/payments/wechat/notify", content=b"x" * 70_000).status_code == 413
    assert client.post("/payments/wechat/notify", content=b"").status_code == 401
    assert client.post("/payments/alipay/notify", content=b"\xff").status_code == 401
    assert client.post("/payments/paypal/notify", content=b"").status_code == 404
    assert client.get("/payments/wechat/notify").status_code == 405


def test_an_order_by_the_api(client: Client, desk: Desk) -> None:
    wanted = {"account": "1-101", "channel": "wechat"}
    assert client.post("/api/v1/payment-orders", json=wanted).status_code == 401
    log_in(client, desk, "guard")
    assert client.post("/api/v1/payment-orders", json=wanted).status_code == 403
    log_in(client, desk, "clerk")
    made = client.post("/api/v1/payment-orders", json=wanted)
    assert made.status_code == 201
    order = made.json()
    assert (order["amount"], order["state"], order["late"]) == ("100.00", "created", False)
    assert order["opens"].startswith("weixin://")
    path = f"/api/v1/payment-orders/{order['number']}"
    assert client.get(path).json() == order
    assert client.post(f"{path}/close").json()["state"] == "closed"
    refund = client.post(f"{path}/refunds", json={"amount": "1.00", "reason": "x"})
    assert (refund.status_code, "is closed" in refund.json()["detail"]) == (409, True)
    part = client.post("/api/v1/payment-orders", json=wanted | {"amount": "12.34"}).json()
    assert part["amount"] == "12.34"
    for amount in ("0", "100.01", 5):
        wrong = client.post("/api/v1/payment-orders", json=wanted | {"amount": amount})
        assert wrong.status_code in {409, 422}
    assert client.get("/api/v1/payment-notices").json() == []


def test_a_resident_pays_only_at_home(client: Client, desk: Desk) -> None:
    wanted = {"account": "1-101", "channel": "alipay"}
    log_in(client, desk, "resident")
    assert client.post("/api/v1/payment-orders", json=wanted).status_code == 404
    log_in(client, desk, "neighbour")
    made = client.post("/api/v1/payment-orders", json=wanted)
    assert made.status_code == 201
    number = made.json()["number"]
    assert client.get(f"/api/v1/payment-orders/{number}").status_code == 200
    assert client.post(f"/api/v1/payment-orders/{number}/close").status_code == 403
    assert client.get("/api/v1/payment-notices").status_code == 403
    log_in(client, desk, "resident")
    assert client.get(f"/api/v1/payment-orders/{number}").status_code == 404


async def test_the_background_work_asks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.payments.asking.TICK_S", 0.05)
    order = await asyncio.to_thread(desk.order, "wechat")
    desk.pay(order)
    worker = Worker(desk.engine, Settings(auto_bill=False), desk.counterpart.channels)
    task = asyncio.create_task(worker.run())
    try:
        assert await asyncio.to_thread(_is_paid_within, desk, order, 30)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert desk.sums() == (0, 0)


def _is_paid_within(desk: Desk, order: Order, limit_s: float) -> bool:
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if desk.held(order).state is State.PAID:
            return True
        time.sleep(0.05)
    return False
