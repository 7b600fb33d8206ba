"""Printing bills, receipts and public sheets: each differs from the one before."""

from datetime import date
from decimal import Decimal

from cloud.printing.documents import (
    Bill,
    BillLine,
    Document,
    Home,
    Office,
    PublicSheet,
    Receipt,
    Register,
    Settled,
    SheetShare,
)
from cloud.printing.printer import Printer
from tests.benchmarks.measure import Figure, measured

COUNT = 50
HOMES = 200
_OFFICE = Office("青松花园物业服务中心", "电话 010-6688 0000", "微信、支付宝；收费处")


def run() -> list[Figure]:
    """Print the first of a process, then many with a warm printer, on one core."""
    with measured("printing", "first bill, fonts read", 1) as cold:
        printer = Printer()
        printer.pdf(_bill(0))
    figures = [cold]
    for what, documents in (
        ("bill", [_bill(number) for number in range(1, COUNT + 1)]),
        ("receipt", [_receipt(number) for number in range(COUNT)]),
        (f"public sheet of {HOMES} homes", [_sheet(number) for number in range(5)]),
    ):
        figures.append(_measured(printer, what, documents))
    return figures


def _measured(printer: Printer, what: str, documents: list[Document]) -> Figure:
    size = 0
    with measured("printing", what, len(documents)) as figure:
        for document in documents:
            size += len(printer.pdf(document))
    figure.more = f"{figure.cpu_us / 1000:.1f} ms each, {size // len(documents) // 1000} KB"
    return figure


def _bill(number: int) -> Bill:
    lines = tuple(
        BillLine(
            "电费", f"第{tier}档 {period}", f"{number + tier}.25", "kWh", "0.5971", 100 + number
        )
        for tier in (1, 2, 3)
        for period in ("峰时", "平时", "谷时")
    )
    register = Register(
        meter=f"M-{number:08}",
        previous_on=date(2026, 10, 1),
        previous=f"{number:,}.00",
        current_on=date(2026, 11, 1),
        current=f"{number + 300:,}.00",
        multiplier="1",
        quantity="300.00",
        uom="kWh",
    )
    return Bill(
        office=_OFFICE,
        home=_home(number),
        id=f"2026-10-{number}-electricity",
        service="电费",
        period="2026-10",
        revision=1,
        posted_on=date(2026, 11, 1),
        due_on=date(2026, 11, 16),
        registers=(register,),
        lines=lines,
        total_fen=sum(line.amount_fen for line in lines),
        tariff="居民阶梯电价",
        notes=(),
        evidence_url=f"https://hutong.example/bills/2026-10-{number}-electricity",
    )


def _receipt(number: int) -> Receipt:
    return Receipt(
        office=_OFFICE,
        home=_home(number),
        title="收款收据",
        number=f"R{number:08}",
        entered_at="2026-11-05 10:22",
        channel="微信",
        lines=(Settled("电费", "2026-10", 10_000 + number),),
        total_fen=10_000 + number,
        entered_by="收费员",
    )


def _sheet(number: int) -> PublicSheet:
    shares = tuple(
        SheetShare(f"{home // 4 + 1}0{home % 4 + 1}", Decimal("89.5"), 300 + number)
        for home in range(HOMES)
    )
    return PublicSheet(
        office=_OFFICE,
        name="公共照明",
        kind="公共部位用量",
        building=f"{number}号楼",
        period="2026-10",
        master_name="总表",
        uom="kWh",
        master="1,234.5",
        subs="1,000.0",
        public="200.0",
        loss="34.5",
        charged="234.5",
        unit_price="0.5283",
        resolution="业主大会决议",
        cap_percent="5",
        total_fen=HOMES * (300 + number),
        shares=shares,
        evidence_url="https://hutong.example/bill-sheets/2026-10",
    )


def _home(number: int) -> Home:
    return Home(f"户主{number}", f"{number % 20}号楼", f"{number}室")
