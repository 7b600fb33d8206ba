"""The code at the desk: shown, paid, told by the page; no button without a merchant's keys."""

import time
from collections.abc import Callable
from datetime import date

import pytest
from fastapi import FastAPI
from httpx import Client
from sqlalchemy import Engine

from cloud.ledger import repository, service
from cloud.ledger.entries import Charge
from cloud.ledger.service import Teller
from cloud.payments import asking
from cloud.payments.service import take
from tests.fixtures.payment_counterpart import Counterpart

LogIn = Callable[[str], Client]
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture(autouse=True)
def owed(engine: Engine) -> None:
    """Charge one home of the estate."""
    with engine.begin() as connection:
        repository.open_accounts(connection, "p", date(2026, 1, 1))
        charges = {"a": ("r1", Charge("2026-10", "water"), 12_345)}
        service.post_bills(connection, Teller("p", "run", 1_790_000_000_000_000), charges)


@pytest.fixture
def desk(app: FastAPI, counterpart: Counterpart) -> Counterpart:
    """Set both channels up."""
    app.state.channels = counterpart.channels
    return counterpart


def post(client: Client, path: str, **fields: str) -> str:
    answer = client.post(path, data=fields, headers=OWN)
    assert answer.status_code == 303
    return answer.headers["location"]


def test_without_keys_there_is_no_button(log_in: LogIn) -> None:
    clerk = log_in("clerk")
    assert "收款码" not in clerk.get("/accounts/r1").text
    assert post(clerk, "/accounts/r1/payment-orders", channel="wechat").endswith("refused=channel")


def test_a_code_is_shown_and_the_page_tells_when_it_was_paid(
    log_in: LogIn, desk: Counterpart, engine: Engine
) -> None:
    clerk = log_in("clerk")
    text = clerk.get("/accounts/r1").text
    assert "微信收款码" in text
    assert "支付宝收款码" in text
    path = post(clerk, "/accounts/r1/payment-orders", channel="wechat")
    assert post(clerk, "/accounts/r1/payment-orders", channel="wechat") == path
    page = clerk.get(path).text
    assert "¥123.45" in page
    assert 'src="data:image/svg+xml' in page
    assert "payment.js" in page
    assert clerk.get(f"{path}/state").json() == {"state": "created", "over": False}
    assert desk.wechat.books.pay(path.rsplit("/", 1)[1])
    asking.step(engine, desk.channels, time.time_ns() // 1000 + 10_000_000)
    assert clerk.get(f"{path}/state").json()["state"] == "paid"
    page = clerk.get(path).text
    assert "已收款" in page
    assert "payment.js" not in page
    assert "打印收据" in page
    account = clerk.get("/accounts/r1").text
    assert path in account
    assert "收款码" not in account
    # what was paid is settled: there is nothing prepaid to give back, and the asking is refused
    assert post(clerk, f"{path}/refunds", amount="200", reason="x").endswith("refused=1")
    assert post(clerk, f"{path}/refunds", amount="1.5", reason="x").endswith("done=asked")


def test_what_is_in_no_book_is_shown(log_in: LogIn, desk: Counterpart, engine: Engine) -> None:
    clerk = log_in("clerk")
    assert "/payment-notices" not in clerk.get("/cashier").text
    assert "都已入账" in clerk.get("/payment-notices").text
    desk.wechat.books.create("H99999999", 500, "?", "")
    desk.wechat.books.pay("H99999999")
    told = desk.channels["wechat"].parse(*desk.wechat.notification("H99999999"))
    assert told is not None
    with engine.begin() as connection:
        take(connection, desk.channels["wechat"], told, source="notification", now_us=1)
    assert "/payment-notices" in clerk.get("/cashier").text
    text = clerk.get("/payment-notices").text
    assert "H99999999" in text
    assert "¥5.00" in text
    assert "不是本系统的订单" in text
    number = post(clerk, "/accounts/r1/payment-orders", channel="wechat").rsplit("/", 1)[1]
    desk.wechat.books.pay(number)
    amount = {"total": 1, "currency": "CNY"}
    told = desk.channels["wechat"].parse(*desk.wechat.notification(number, amount=amount))
    assert told is not None
    with engine.begin() as connection:
        take(connection, desk.channels["wechat"], told, source="notification", now_us=1)
    text = clerk.get("/payment-notices").text
    assert "与订单不符" in text
    assert f"/payment-orders/{number}" in text
    assert "is not on file" not in text
    assert log_in("guard").get("/payment-notices").status_code == 403


def test_an_order_is_withdrawn(log_in: LogIn, desk: Counterpart) -> None:
    clerk = log_in("clerk")
    path = post(clerk, "/accounts/r1/payment-orders", channel="wechat")
    assert post(clerk, f"{path}/close") == path
    assert "已撤销或已过期" in clerk.get(path).text
    assert not desk.wechat.books.pay(path.rsplit("/", 1)[1])


def test_a_channel_that_is_silent_makes_a_sentence(log_in: LogIn, desk: Counterpart) -> None:
    desk.alipay.books.faults.append("lost")
    where = post(log_in("clerk"), "/accounts/r1/payment-orders", channel="alipay")
    assert where == "/accounts/r1?refused=channel"
    assert "支付渠道暂时连不上" in log_in("clerk").get(where).text


def test_nobody_else_opens_them(log_in: LogIn, desk: Counterpart, stranger: Client) -> None:
    assert desk
    path = post(log_in("clerk"), "/accounts/r1/payment-orders", channel="wechat")
    for role in ("guard", "resident", "maintenance", "integrator"):
        assert log_in(role).get(path).status_code == 403
    assert stranger.get(path).headers["location"].startswith("/login")
    other = log_in("clerk").post(
        "/accounts/r1/payment-orders",
        data={"channel": "wechat"},
        headers={"sec-fetch-site": "cross-site"},
    )
    assert other.status_code == 403
    assert log_in("clerk").get("/payment-orders/H0").status_code == 404
