"""Bills, receipts, letters and public sheets as PDF: by page, API and command."""

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import typer
from fastapi import FastAPI
from httpx import Client
from pypdf import PdfReader
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

from cloud.billing import bill_tables, tables
from cloud.cli import bill_app
from cloud.errors import RefusedError
from cloud.ledger import repository, service
from cloud.ledger.entries import Book, Charge
from cloud.ledger.service import Teller
from cloud.printing.endpoints import router as documents

LogIn = Callable[[str], Client]
PERIOD = "2026-10"
NOW_US = 1_790_000_000_000_000
POOL = {
    "id": "pool",
    "project_id": "p",
    "building_id": "b1",
    "name": "公共照明",
    "name_en": "Lights",
    "kind": "public",
    "master_id": "mp0",
    "weight": "area",
    "resolution": "业主大会决议",
    "cap_percent": "5",
}
STATEMENT = {
    "pool_id": "pool",
    "period": PERIOD,
    "master": "120.5",
    "subs": "100",
    "public": "15.5",
    "loss": "5",
    "charged": "20.5",
    "unit_price": "0.5",
    "total_fen": 1025,
    "note": "",
    "evidence": "[]",
    "kind": "public",
    "cap_percent": "20",
    "invoice": None,
    "tariff_hash": None,
}


@pytest.fixture(autouse=True)
def books(app: FastAPI, engine: Engine) -> None:
    """Charge two homes, let them pay, prepay, deposit; share a pool."""
    app.include_router(documents, prefix="/api/v1")
    with engine.begin() as connection:
        repository.open_accounts(connection, "p", date(2026, 1, 1))
        clerk = Teller("p", "clerk", NOW_US)
        charges = {
            "a": ("r0", Charge(PERIOD, "electricity"), 123_456),
            "b": ("r1", Charge(PERIOD, "water"), 6_789),
        }
        service.post_bills(connection, clerk, charges)
        service.pay(connection, clerk, "r0", amount_fen=100_000, channel="wechat", key="k1")
        service.pay(connection, clerk, "r1", amount_fen=7_789, channel="cash", key="k2")
        service.take_deposit(connection, clerk, "r2", amount_fen=50_000, channel="bank", key="k3")
        service.post_bills(connection, clerk, {"c": ("r2", Charge(PERIOD, "heat"), 30_000)})
        service.offset(connection, clerk, "r2", book=Book.DEPOSIT, key="k4")
        connection.execute(insert(tables.pools), [POOL])
        connection.execute(insert(bill_tables.pool_statements), [STATEMENT])
        shares = [("r0", 512), ("r1", 513)]
        connection.execute(
            insert(bill_tables.pool_shares),
            [
                {
                    "pool_id": "pool",
                    "period": PERIOD,
                    "premise_id": home,
                    "weight": "90.5",
                    "amount_fen": fen,
                }
                for home, fen in shares
            ],
        )


def text_of(pdf: bytes) -> str:
    pages = PdfReader(io.BytesIO(pdf)).pages
    return "".join("".join(page.extract_text() for page in pages).split())


def entry_of(engine: Engine, account: str, place: int) -> int:
    """Return the id of an account's entry with a number."""
    with engine.connect() as connection:
        found = [each for each in repository.entries_of(connection, account) if each.number]
    return found[place].id


def test_a_bill_from_its_page(log_in: LogIn) -> None:
    clerk = log_in("clerk")
    assert "/bills/bill-0/pdf" in clerk.get("/bills/bill-0").text
    answer = clerk.get("/bills/bill-0/pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'inline; filename="bill-0.pdf"'
    text = text_of(answer.content)
    for words in (
        "电费账单2026年10月",
        "青松花园",
        "户主0",
        "1号楼房00",
        "M-0",
        "5,025.67",
        "5,149.12",
        "123.45kWh",
        "第1档",
        "壹仟贰佰叁拾肆元伍角陆分",
        "现金、银行转账",
    ):
        assert words in text, words
    assert clerk.get("/bills/bill-0/pdf").content == answer.content


def test_a_bill_that_does_not_add_up_is_not_printed(log_in: LogIn) -> None:
    assert log_in("clerk").get("/bills/bill-1/pdf").status_code == 400
    assert log_in("clerk").get("/api/v1/bills/bill-1/pdf").status_code == 409


def test_a_resident_prints_what_is_theirs(log_in: LogIn, engine: Engine, stranger: Client) -> None:
    resident = log_in("resident")
    own, other = entry_of(engine, "r0", 0), entry_of(engine, "r1", 0)
    for prefix in ("", "/api/v1"):
        assert resident.get(f"{prefix}/bills/bill-0/pdf").status_code == 200
        assert resident.get(f"{prefix}/bills/bill-2/pdf").status_code == 404
        assert resident.get(f"{prefix}/accounts/r0/entries/{own}/pdf").status_code == 200
        assert resident.get(f"{prefix}/accounts/r1/entries/{other}/pdf").status_code == 404
        assert resident.get(f"{prefix}/accounts/r0/entries/{other}/pdf").status_code == 404
    assert resident.get("/accounts/r0/dunning-letter/pdf").status_code == 403
    assert resident.get(f"/bill-sheets/{PERIOD}/pool/pdf").status_code == 200
    assert log_in("guard").get("/bills/bill-0/pdf").status_code == 403
    assert stranger.get("/bills/bill-0/pdf").status_code == 303
    assert stranger.get("/api/v1/bills/bill-0/pdf").status_code == 401


def test_receipts_of_every_kind(log_in: LogIn, engine: Engine) -> None:
    clerk = log_in("clerk")
    wanted = {
        ("r0", 0): ("收款收据", "电费2026年10月1,000.00", "壹仟元整", "微信"),
        ("r1", 0): ("收款收据", "水费2026年10月67.89", "预收款10.00", "柒拾柒元捌角玖分"),
        ("r2", 0): ("押金收据", "押金500.00", "银行转账"),
        ("r2", 1): ("押金冲抵单", "供热费2026年10月300.00", "叁佰元整"),
    }
    for (account, place), words in wanted.items():
        entry = entry_of(engine, account, place)
        path = f"/accounts/{account}/entries/{entry}/pdf"
        assert path in clerk.get(f"/accounts/{account}").text
        text = text_of(clerk.get(path).content)
        for word in words:
            assert word in text, (word, text)
    hostile = text_of(clerk.get(f"/accounts/r1/entries/{entry_of(engine, 'r1', 0)}/pdf").content)
    assert '<script>alert("x")</script>' in hostile


def test_a_voided_receipt_is_stamped(log_in: LogIn, engine: Engine) -> None:
    entry = entry_of(engine, "r0", 0)
    with engine.begin() as connection:
        service.void(connection, Teller("p", "boss", NOW_US), "r0", entry_id=entry, key="v")
    clerk = log_in("clerk")
    assert "已作废" in text_of(clerk.get(f"/accounts/r0/entries/{entry}/pdf").content)
    undone = entry_of(engine, "r0", 1)
    text = text_of(clerk.get(f"/accounts/r0/entries/{undone}/pdf").content)
    assert "作废凭证" in text
    assert "1,000.00" in text


def test_a_dunning_letter_for_what_is_owed_only(log_in: LogIn) -> None:
    clerk = log_in("clerk")
    assert "/accounts/r0/dunning-letter/pdf" in clerk.get("/accounts/r0").text
    text = text_of(clerk.get("/accounts/r0/dunning-letter/pdf").content)
    assert "电费1,234.561,000.00234.56" in text
    assert "/accounts/r1/dunning-letter/pdf" not in clerk.get("/accounts/r1").text
    assert clerk.get("/accounts/r1/dunning-letter/pdf").status_code == 400
    by_day = clerk.get("/api/v1/accounts/r0/dunning-letter/pdf", params={"on": "2026-11-22"})
    assert "2026年11月29日前" in text_of(by_day.content)


def test_a_public_sheet(log_in: LogIn) -> None:
    clerk = log_in("clerk")
    path = f"/bill-sheets/{PERIOD}/pool/pdf"
    assert path in clerk.get(f"/bill-sheets/{PERIOD}").text
    text = text_of(clerk.get(path).content)
    for words in ("公共照明", "公共部位用量", "房0090.55.12房0190.55.13", "10.25"):
        assert words in text, words
    assert "户主0" not in text
    assert clerk.get(f"/bill-sheets/{PERIOD}/none/pdf").status_code == 404


def test_the_commands(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTONG_DATABASE_URL", str(engine.url))
    monkeypatch.setenv("HUTONG_CONTACT", "电话 6688")
    entry, out = entry_of(engine, "r0", 0), tmp_path / "x.pdf"
    for words, wanted in (
        (["print", "bill-0"], "电费账单"),
        (["receipt", "r0", str(entry)], "收款收据"),
        (["dun", "r0", "--on", "2026-11-22"], "2026年11月29日"),
        (["sheet", "pool", "--project", "p", "--period", PERIOD], "公摊费用公示表"),
    ):
        done = CliRunner().invoke(bill_app, [*words, "--out", str(out)])
        assert done.exit_code == 0, done.output
        assert wanted in text_of(out.read_bytes())
        assert "电话6688" in text_of(out.read_bytes())
    with pytest.raises(RefusedError, match="its lines add up to 123456 fen, its total is 100"):
        CliRunner().invoke(bill_app, ["print", "bill-1", "--out", str(out)], catch_exceptions=False)
    assert isinstance(bill_app, typer.Typer)
