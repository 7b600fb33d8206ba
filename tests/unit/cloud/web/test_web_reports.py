"""Reports as workbooks, read back and compared with the raw lines of the books."""

import io
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

import pytest
from httpx import Client
from python_calamine import CalamineWorkbook
from sqlalchemy import Connection, Engine, insert, select
from typer.testing import CliRunner

from cloud.billing import tables
from cloud.cli import app as program
from cloud.errors import CloudError
from cloud.ledger import approvals, repository, service
from cloud.ledger.approvals import Ask
from cloud.ledger.entries import Book, Charge, Entry, Kind, Line
from cloud.ledger.repository import Fresh, Stamp
from cloud.ledger.service import Teller
from cloud.ledger.tables import entries, lines
from cloud.metering.tables import meter_points
from cloud.web.report_frame import Frame, Span
from cloud.web.reports import NAMES, sheets_of, workbook
from cloud.workbooks.money_queries import UnbalancedReportError

LogIn = Callable[[str], Client]
DAY_US = 86_400_000_000
SEPTEMBER_US, OCTOBER_US = 1_788_300_000_000_000, 1_791_000_000_000_000  # 2 Sep, 3 Oct 2026
SPAN = Span("2026-09", "2026-10")


def teller(at_us: int, by: str = "clerk") -> Teller:
    return Teller("p", by, at_us)


@pytest.fixture(autouse=True)
def books(engine: Engine) -> None:
    """Give three homes two years of charges, and all that can become of them."""
    with engine.begin() as connection:
        repository.open_accounts(connection, "p", date(2025, 1, 1))
        old = SEPTEMBER_US - 300 * DAY_US
        charges = {
            "a": ("r0", Charge("2025-08", "property"), 90_000),
            "b": ("r1", Charge("2026-05", "water"), 4_000),
            "c": ("r41", Charge("2026-08", "electricity"), 20_000),
        }
        service.post_bills(connection, teller(old), charges)
        now = {
            "d": ("r0", Charge("2026-09", "electricity"), 10_001),
            "e": ("r1", Charge("2026-09", "water"), 2_500),
            "f": ("r41", Charge("2026-10", "electricity"), 7_777),
            "g": ("r0", Charge("2026-10", "water"), 333),
        }
        service.post_bills(connection, teller(SEPTEMBER_US), now)
        late = Fresh(
            "r0",
            Entry(
                Kind.LATE_CHARGE,
                (
                    Line(Book.RECEIVABLE, 55, Charge("2025-08", "property", late=True)),
                    Line(Book.REVENUE, -55, Charge("2025-08", "property", late=True)),
                ),
            ),
            key="late",
            request="",
            counts_as=Kind.LATE_CHARGE,
        )
        stamp = Stamp("p", date(2026, 9, 3), SEPTEMBER_US, "clerk")
        repository.add_entries(connection, stamp, [late])
        _pay(connection, "r0", 50_000, "wechat", SEPTEMBER_US + DAY_US)
        _pay(connection, "r1", 9_000, "cash", OCTOBER_US)
        _pay(connection, "r41", 25_000, "bank", OCTOBER_US)
        wrong = _pay(connection, "r0", 1_000, "cash", OCTOBER_US)
        service.void(connection, teller(OCTOBER_US), "r0", entry_id=wrong.id, key="void")
        service.post_bills(
            connection, teller(OCTOBER_US), {"h": ("r1", Charge("2026-10", "water"), 1_200)}
        )
        service.offset(connection, teller(OCTOBER_US), "r1", book=Book.PREPAID, key="off")
        subject = {"period": "2026-10", "item": "electricity", "late": False, "amount_fen": 700}
        asked = approvals.ask(
            connection,
            teller(OCTOBER_US),
            "r41",
            kind=Ask.RELIEF,
            subject=subject,
            reason="=漏水",
        )
        approvals.decide(connection, teller(OCTOBER_US, "boss"), asked.id, grant=True, note="同意")
        credit = {"i": ("r41", Charge("2026-08", "electricity"), -3_000)}
        service.post_bills(connection, teller(OCTOBER_US), credit)
        _resell(connection)


def _pay(
    connection: Connection, account: str, fen: int, channel: str, at_us: int
) -> repository.Entered:
    key = f"{account}-{fen}"
    return service.pay(connection, teller(at_us), account, amount_fen=fen, channel=channel, key=key)


def _resell(connection: Connection) -> None:
    def point(name: str, **more: object) -> dict[str, object]:
        row = {"id": name, "project_id": "p", "building_id": "b2", "name": name, "uom": "kWh"}
        fixed = {"service": "electricity", "role": "sub", "supply": "resold"}
        return row | fixed | {"premise_id": None, "parent_id": None} | more

    connection.execute(insert(meter_points), [point("master")])
    subs = [point("sub-41", premise_id="r41", parent_id="master")]
    subs.append(point("sub-41b", premise_id="r41", parent_id="master"))
    subs.append(point("public", parent_id="master"))
    connection.execute(insert(meter_points), subs)
    invoice = {"meter_point_id": "master", "period": "2026-10", "number": "INV-1"}
    connection.execute(
        insert(tables.supplier_invoices), [invoice | {"quantity": "150.5", "amount": "120.25"}]
    )


def sheets_in(made: bytes) -> dict[str, list[list[object]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(made))
    return {
        name: [list(row) for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False)]
        for name in book.sheet_names
    }


def fen(cell: object) -> int:
    return round(Decimal(repr(cell)) * 100)


def lines_of(engine: Engine) -> list[tuple[str, str, str, int, date]]:
    """Return (counts as, period, item, fen, day) of every line of the receivable."""
    query = (
        select(
            entries.c.counts_as,
            lines.c.period,
            lines.c.item,
            lines.c.amount_fen,
            entries.c.entered_on,
        )
        .join_from(lines, entries, entries.c.id == lines.c.entry_id)
        .where(lines.c.book == "receivable", entries.c.project_id == "p")
    )
    with engine.connect() as connection:
        return [(row[0], row[1], row[2], row[3], row[4]) for row in connection.execute(query)]


def made_of(engine: Engine, name: str, span: Span = SPAN) -> dict[str, list[list[object]]]:
    with engine.connect() as connection:
        return sheets_in(workbook(connection, "p", name, span=span))


def columns_of(found: list[tuple[str, str, str, int, date]]) -> tuple[int, ...]:
    """Add up 应收, 实收, 减免, 冲抵, 欠费 from raw lines, by the words of the kinds."""

    def total(*kinds: str) -> int:
        return sum(line[3] for line in found if line[0] in kinds)

    charged = total("bill", "credit_note", "late_charge", "opening")
    paid, relieved = -total("payment"), -total("relief")
    offset = -total("offset", "deposit_offset")
    return charged, paid, relieved, offset, sum(line[3] for line in found)


@pytest.mark.parametrize(
    ("sheet", "place"), [("按项目", 1), ("按账期", 1), ("按楼栋", 1), ("按账期和项目", 2)]
)
def test_collection_adds_up(engine: Engine, sheet: str, place: int) -> None:
    rows = made_of(engine, "collection")[sheet]
    *body, last = rows[5:]
    assert last[0] == "合计"
    raw = [line for line in lines_of(engine) if "2026-09" <= line[1] <= "2026-10"]
    expected = columns_of(raw)
    assert expected[4] != 0
    assert tuple(fen(cell) for cell in last[place : place + 5]) == expected
    for number in range(5):
        assert sum(fen(row[place + number]) for row in body) == expected[number]
    for row in rows[5:]:
        charged, paid, relieved, offset, owed = (fen(cell) for cell in row[place : place + 5])
        assert charged == paid + relieved + offset + owed
    settled, due = expected[1] + expected[3], expected[0] - expected[2]
    assert last[-1] == pytest.approx(settled / due, abs=1e-4)


def test_rows_by_item_are_those_of_the_lines(engine: Engine) -> None:
    rows = made_of(engine, "collection")["按项目"][5:-1]
    raw = [line for line in lines_of(engine) if "2026-09" <= line[1] <= "2026-10"]
    for row, item in zip(rows, ("electricity", "water"), strict=True):
        own = columns_of([line for line in raw if line[2] == item])
        assert tuple(fen(cell) for cell in row[1:6]) == own


def test_old_arrears_are_apart_from_the_current_rate(engine: Engine) -> None:
    found = made_of(engine, "rates")
    *body, last = found["清欠率"][4:]
    raw = [line for line in lines_of(engine) if line[1] < "2026-09"]
    before = sum(line[3] for line in raw if line[4] < date(2026, 9, 1))
    within = [line for line in raw if date(2026, 9, 1) <= line[4] <= date(2026, 10, 31)]
    charged, paid, relieved, offset, _ = columns_of(within)
    assert [fen(cell) for cell in last[1:7]] == [
        before,
        charged,
        paid,
        relieved,
        offset,
        sum(line[3] for line in raw),
    ]
    assert last[7] == pytest.approx((paid + offset) / (before + charged - relieved), abs=1e-4)
    assert [row[0] for row in body] == ["1号楼", "2号楼"]
    assert [row[0] for row in found["当期收缴率"][5:-1]] == ["2026-09", "2026-10"]


def test_arrears_by_age(engine: Engine) -> None:
    rows = made_of(engine, "ageing")["欠费账龄"][4:]
    raw = lines_of(engine)
    by_age = [
        sum(line[3] for line in raw if first <= line[1] <= last)
        for first, last in (
            ("2026-10", "2026-10"),
            ("2026-07", "2026-09"),
            ("2026-04", "2026-06"),
            ("2025-10", "2026-03"),
            ("0000-00", "2025-09"),
        )
    ]
    assert [fen(cell) for cell in rows[-1][4:]] == [*by_age, sum(by_age)]
    assert sum(by_age) == sum(line[3] for line in raw)


def test_takings_by_channel_and_day(engine: Engine) -> None:
    found = made_of(engine, "takings")
    by_channel = {row[0]: [fen(cell) for cell in row[1:]] for row in found["收款（按方式）"][4:]}
    assert by_channel == {
        "微信": [50_000, 0, 50_000],
        "现金": [10_000, 1_000, 9_000],
        "银行转账": [25_000, 0, 25_000],
        "合计": [85_000, 1_000, 84_000],
    }
    days = found["收款（按日）"][4:]
    assert [row[0] for row in days[:-1]] == sorted(row[0] for row in days[:-1])
    assert fen(days[-1][4]) == 84_000


def test_bought_against_sold(engine: Engine) -> None:
    (row, last) = made_of(engine, "spread")["购销差"][4:]
    assert row[:5] == ["2026-10", "2号楼", "master", "INV-1", "kWh"]
    # the home has two meters behind the master, and one bill
    assert row[5:8] == [150.5, 123.45, 27.05]
    assert [fen(cell) for cell in row[8:]] == [12_025, 7_777, 0, 7_777 - 12_025]
    assert last[5:8] == row[5:8]


def test_changes_and_who_granted_them(engine: Engine) -> None:
    found = made_of(engine, "changes")
    rows = found["账目变更记录"][4:-1]
    assert [row[1] for row in rows] == ["作废", "减免", "冲红", "多收转预收"]
    assert fen(rows[0][8]) == 1_000
    assert rows[0][7] == "R00000004"
    (asked,) = found["申请与审批"][4:-1]
    assert asked[4] == "=漏水"
    assert asked[6] == "已同意"
    assert "boss" in str(asked[7])
    assert "同意" in str(asked[7])


def test_books_that_do_not_add_up_make_no_report(engine: Engine) -> None:
    charge = Charge("2026-10", "water")
    rogue = Entry(Kind.DEPOSIT, (Line(Book.RECEIVABLE, 7, charge), Line(Book.REVENUE, -7, charge)))
    with engine.begin() as connection:
        stamp = Stamp("p", date(2026, 10, 5), OCTOBER_US, "clerk")
        fresh = Fresh("r0", rogue, key="rogue", request="", counts_as=Kind.DEPOSIT)
        repository.add_entries(connection, stamp, [fresh])
    for name in ("collection", "rates", "all"):
        with pytest.raises(UnbalancedReportError, match="fen; the books have"):
            made_of(engine, name)


def test_all_reports_in_one_book_in_both_languages(engine: Engine) -> None:
    with engine.connect() as connection:
        made = workbook(connection, "p", "all", span=SPAN)
        assert made == workbook(connection, "p", "all", span=SPAN)
        english = sheets_in(workbook(connection, "p", "all", span=SPAN, language="en"))
        names = [sheet.name for sheet in sheets_of(Frame(connection, "p", SPAN), "all")]
    assert len(names) == len(set(names)) == len(sheets_in(made)) == len(english) == 13
    assert english["By item"][4][1:3] == ["Charged", "Paid"]
    with ZipFile(io.BytesIO(made)) as parts:
        assert '<numFmt numFmtId="' in parts.read("xl/styles.xml").decode()


def test_a_month_without_anything(engine: Engine) -> None:
    for name, rows in made_of(engine, "all", Span("2020-01", "2020-02")).items():
        numbers = [cell for cell in rows[-1] if isinstance(cell, float)]
        assert numbers, name
        assert set(numbers) == {0.0}, name


def test_what_is_refused(engine: Engine) -> None:
    with pytest.raises(CloudError, match="first: '2026-13': allowed is a month"):
        Span("2026-13", "2026-10")
    with pytest.raises(CloudError, match="last: 2026-01: allowed is 2026-02 or later"):
        Span("2026-02", "2026-01")
    with engine.connect() as connection, pytest.raises(CloudError, match="report 'x': allowed are"):
        workbook(connection, "p", "x", span=SPAN)
    assert Span("2026-12", "2026-12").to_on == date(2026, 12, 31)


def test_the_page_links_to_every_report(log_in: LogIn) -> None:
    clerk = log_in("clerk")
    text = clerk.get("/collection", params={"first": "2026-09", "last": "2026-10"}).text
    for name in NAMES:
        path = f"/reports/{name}.xlsx?first=2026-09&last=2026-10"
        assert path.replace("&", "&amp;") in text
        answer = clerk.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].endswith('2026-09-2026-10.xlsx"')
        assert sheets_in(answer.content)
    assert clerk.get("/reports/none.xlsx?first=2026-09&last=2026-10").status_code == 404
    assert clerk.get("/reports/all.xlsx?first=2026-09&last=2026-08").status_code == 400
    assert clerk.get("/reports/all.xlsx?first=x&last=2026-08").status_code == 400
    assert log_in("guard").get("/reports/all.xlsx?first=2026-09&last=2026-10").status_code == 403
    assert log_in("resident").get("/reports/all.xlsx?first=2026-09&last=2026-10").status_code == 403


def test_the_command(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTONG_DATABASE_URL", str(engine.url))
    out = tmp_path / "x.xlsx"
    words = ["report", "ageing", "--project", "p", "--first", "2026-09", "--last", "2026-10"]
    done = CliRunner().invoke(program, [*words, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert list(sheets_in(out.read_bytes())) == ["欠费账龄"]
