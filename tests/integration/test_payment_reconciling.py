"""A day's bill against the books by the command line: what lacks where, and asked after again."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import Engine
from typer.testing import CliRunner

from cloud.cli import app
from cloud.ledger import approvals
from cloud.payments import asking, refunds
from cloud.payments import repository as payments
from cloud.payments import service as shop
from cloud.payments.bills import CHANNEL_ZONE
from tests.fixtures.daily_bills import alipay_csv, alipay_zip, wechat_csv
from tests.fixtures.desks import Desk
from tests.fixtures.payment_counterpart import Counterpart


@pytest.fixture
def desk(sqlite_engine: Engine, counterpart: Counterpart, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("HUTONG_DATABASE_URL", f"sqlite:///{sqlite_engine.url.database}")
    return Desk(sqlite_engine, counterpart)


def reconciled(file: Path, channel: str, *more: str, code: int) -> dict[str, dict[str, str]]:
    result = CliRunner().invoke(
        app, ["payments", "reconcile", str(file), "--channel", channel, "--json", *more]
    )
    assert result.exit_code == code, result.output
    return {line["key"]: line for line in json.loads(result.stdout)["lines"]}


def paid(desk: Desk, name: str, fen: int) -> tuple[str, str]:
    order = desk.order(name, fen)
    desk.pay(order)
    desk.notify(order)
    return order.number, str(desk.held(order).transaction_id)


def today(desk: Desk) -> str:
    return f"{datetime.fromtimestamp(desk.now_us // 10**6, CHANNEL_ZONE):%Y-%m-%d %H:%M:%S}"


def test_a_day_at_wechat(desk: Desk, tmp_path: Path) -> None:
    first, second, third = (paid(desk, "wechat", fen) for fen in (1_000, 2_000, 3_000))
    desk.cash(4_000)
    order = desk.held(desk_order(desk, first[0]))
    with desk.engine.begin() as connection:
        asked = refunds.ask_refund(connection, desk.teller(), order, amount_fen=500, reason="x")
    desk.cash(500, "more")
    with desk.engine.begin() as connection:
        approvals.decide(connection, desk.teller("manager"), asked.id, grant=True)
    desk.ask(10)
    ((refund_number, _),) = desk.counterpart.wechat.books.refunds.items()
    rows = [
        ("SUCCESS", *first, "", "10.00"),
        ("SUCCESS", *second, "", "20.01"),
        ("SUCCESS", "H0", "4200000", "", "7.00"),
        ("REFUND", *first, refund_number, "5.00"),
    ]
    file, out = tmp_path / "bill.csv", tmp_path / "out.xlsx"
    file.write_bytes(wechat_csv(rows, at=today(desk)))
    found = reconciled(file, "wechat", "--out", str(out), code=1)
    assert {key: line["match"] for key, line in found.items()} == {
        first[1]: "matched",
        second[1]: "differs",
        "4200000": "missing here",
        refund_number: "matched",
        third[1]: "missing there",
    }
    assert (found[second[1]]["here"], found[second[1]]["there"]) == ("20.00", "20.01")
    (sheet,) = CalamineWorkbook.from_path(str(out)).sheet_names
    cells = CalamineWorkbook.from_path(str(out)).get_sheet_by_name(sheet).to_python()
    assert sum(row[0] in {"一致", "不一致", "我方缺少", "渠道缺少"} for row in cells) == 5
    words = CliRunner().invoke(app, ["payments", "reconcile", str(file), "--channel", "wechat"])
    assert "matched: 2, missing here: 1, missing there: 1, differs: 1" in words.stdout
    for number in (second[0], third[0], "H0"):
        assert number in words.stdout


def desk_order(desk: Desk, number: str) -> "payments.Order":
    with desk.engine.connect() as connection:
        return payments.order_in(connection, "p", number)


def test_what_is_missing_here_is_asked_after_again(desk: Desk, tmp_path: Path) -> None:
    order = desk.order("alipay")
    shop.withdraw(desk.engine, desk.counterpart.channels["alipay"], order, desk.now_us)
    desk.ask(1600)
    assert desk.held(order).ask_us is None
    # after all that, a payer's phone that was offline
    desk.pay(order)
    transaction = desk.counterpart.alipay.books.trades[order.number].transaction_id
    rows = [("交易", order.number, transaction, "", "100.00")]
    file = tmp_path / "bill.zip"
    file.write_bytes(alipay_zip(alipay_csv(rows, at=today(desk))))
    assert reconciled(file, "alipay", code=1)[transaction]["note"] == "order is closed here"
    asking.step(desk.engine, desk.counterpart.channels)
    assert desk.held(order).is_late
    assert reconciled(file, "alipay", code=0)[transaction]["match"] == "matched"


def test_a_day_without_a_line(desk: Desk, tmp_path: Path) -> None:
    _, transaction = paid(desk, "wechat", 1_000)
    file = tmp_path / "bill.csv"
    file.write_bytes(wechat_csv([]))
    day = today(desk)[:10]
    assert reconciled(file, "wechat", "--on", day, code=1)[transaction]["match"] == "missing there"
    assert reconciled(file, "wechat", "--on", "2020-01-01", code=0) == {}
    for more, says in (
        ([], "--on: missing"),
        (["--channel", "cash"], "'cash': allowed are wechat"),
    ):
        command = ["payments", "reconcile", str(file), "--channel", "wechat", *more]
        result = CliRunner().invoke(app, command)
        assert says in str(result.exception)


def test_what_is_in_no_book_is_listed(desk: Desk) -> None:
    order = desk.order("wechat")
    desk.pay(order)
    desk.notify(order, amount={"total": 1, "currency": "CNY"})
    result = CliRunner().invoke(app, ["payments", "notices"])
    assert f"wechat  differs  {order.number}" in result.stdout
    assert "amount_fen: 1: allowed is 10000" in result.stdout
