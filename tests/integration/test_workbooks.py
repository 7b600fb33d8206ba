"""Reports as workbooks read the same books on both databases."""

import io
from datetime import date

from python_calamine import CalamineWorkbook
from sqlalchemy import Engine

from cloud.billing.tables import supplier_invoices
from cloud.ledger import approvals, repository, service
from cloud.ledger.approvals import Ask
from cloud.ledger.entries import Book, Charge
from cloud.ledger.service import Teller
from cloud.web.report_frame import Span
from cloud.web.reports import workbook
from tests.fixtures.estate import meter, premise, put_on_file

NOW_US = 1_790_000_000_000_000
CLERK = Teller("p", "clerk", NOW_US)
JUNE, WATER = Charge("2026-06", "electricity"), Charge("2026-06", "water")
SEPTEMBER = Charge("2026-09", "electricity")


def test_all_reports_on_both_databases(engine: Engine) -> None:
    with engine.begin() as connection:
        master = meter("m", role="master", supply="public")
        sub = meter("a", premise="1-101", parent="mp-m", supply="resold")
        homes = [premise("1-101"), premise("1-102")]
        put_on_file(connection, date(2026, 6, 1), premises=homes, meters=[master, sub])
        repository.open_accounts(connection, "p", date(2026, 6, 1))
        charges = {"b1": (JUNE, 10_000), "b2": (WATER, 3_000), "b3": (SEPTEMBER, 5_000)}
        service.post_bills(
            connection, CLERK, {name: ("1-101", *charge) for name, charge in charges.items()}
        )
        service.pay(connection, CLERK, "1-101", amount_fen=11_000, channel="cash", key="k1")
        service.pay(connection, CLERK, "1-102", amount_fen=500, channel="bank", key="k2")
        subject = {"period": "2026-06", "item": "water", "late": False, "amount_fen": 400}
        asked = approvals.ask(
            connection, CLERK, "1-101", kind=Ask.RELIEF, subject=subject, reason="漏水"
        )
        approvals.decide(connection, Teller("p", "boss", NOW_US), asked.id, grant=True)
        service.post_bills(connection, CLERK, {"b4": ("1-102", WATER, 300)})
        service.offset(connection, CLERK, "1-102", book=Book.PREPAID, key="k3")
        invoice = {"meter_point_id": "mp-m", "period": "2026-09", "number": "I-1"}
        connection.execute(
            supplier_invoices.insert().values(**invoice, quantity="100", amount="45.5")
        )
        made = workbook(connection, "p", "all", span=Span("2026-09", "2026-09"))
    book = CalamineWorkbook.from_filelike(io.BytesIO(made))

    def last(sheet: str) -> list[object]:
        return list(book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)[-1])

    assert last("按项目")[1:6] == [50, 0, 0, 0, 50]
    assert last("清欠率")[1:7] == [0, 133, 110, 4, 3, 16]
    assert last("欠费账龄")[4:] == [50, 16, 0, 0, 0, 66]
    assert last("收款（按方式）")[1:] == [115, 0, 115]
    assert last("购销差")[8:] == [45.5, 50, 0, 4.5]
    assert last("账目变更记录")[8] == 4
    assert last("申请与审批")[3] == 4
