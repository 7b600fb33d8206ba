"""Printed documents: their text, pages and bytes; data are never markup; the user's templates."""

import io
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from cloud.printing.documents import (
    Bill,
    BillLine,
    Document,
    DunningLetter,
    Home,
    Office,
    Owed,
    PublicSheet,
    Receipt,
    Register,
    Settled,
    SheetExempt,
    SheetMeter,
    SheetShare,
)
from cloud.printing.printer import BUILT_IN, Printer, PrintError

OFFICE = Office("青松花园物业服务中心", "客服电话 010-6688 0000", "微信、支付宝扫码；收费处刷卡")
HOME = Home("张晓明", "1号楼", "2单元1203")
LINES = (
    BillLine("电费", "第1档 峰时", "140.33", "kWh", "0.5971", 8379),
    BillLine("电费", "第2档 谷时", "204.12", "kWh", "0.3571", 7289),
    BillLine("农网还贷资金", "", "344.45", "kWh", "0.02", 689),
)
BILL = Bill(
    office=OFFICE,
    home=HOME,
    id="2026-10-1-101-electricity",
    service="电费",
    period="2026-10",
    revision=1,
    posted_on=date(2026, 11, 1),
    due_on=date(2026, 11, 16),
    registers=(
        Register(
            meter="SDM630-20117788",
            previous_on=date(2026, 10, 1),
            previous="12,345.67",
            current_on=date(2026, 11, 1),
            current="12,690.12",
            multiplier="20",
            quantity="344.45",
            uom="kWh",
            is_estimated=True,
        ),
    ),
    lines=LINES,
    total_fen=sum(line.amount_fen for line in LINES),
    tariff="北京居民阶梯电价（cn-beijing-electricity-tiered 2012）",
    notes=("标＊的示数为估算值，下期按实际示数退补。",),
    evidence_url="https://hutong.example/bills/2026-10-1-101-electricity",
)
RECEIPT = Receipt(
    office=OFFICE,
    home=HOME,
    title="收款收据",
    number="R-000123",
    entered_at="2026-11-05 10:22",
    channel="微信",
    lines=(Settled("电费", "2026-10", 16357), Settled("预收款", "", 10000)),
    total_fen=26357,
    entered_by="李收费",
)
LETTER = DunningLetter(
    office=OFFICE,
    home=HOME,
    account="1-101",
    letter_on=date(2026, 11, 22),
    due_on=date(2026, 11, 29),
    lines=(
        Owed("水费 违约金", "2026-09", 1000, 250, 750),
        Owed("电费", "2026-10", 16357, 0, 16357),
    ),
    prepaid_fen=1200,
)
SHEET = PublicSheet(
    office=OFFICE,
    name="1号楼公共照明",
    kind="公共部位用量",
    building="1号楼",
    period="2026-10",
    master_name="1号楼总表",
    uom="kWh",
    master="12,345.6",
    subs="12,000.0",
    public="300.0",
    loss="45.6",
    carried_in="-12.5",
    corrected="3.2",
    charged="345.6",
    above_cap="7.1",
    carried_out="",
    unit_price="0.5283",
    resolution="2026年3月业主大会决议",
    cap_percent="5",
    by="按面积",
    weight="面积（m²）",
    total_fen=121 * 304 + 297,
    shares=tuple(
        SheetShare(f"{place // 4 + 1}0{place % 4 + 1}", Decimal("89.5"), 304)
        for place in range(121)
    ),
    exempt=(
        SheetExempt("101", "底层", "其余各户承担", 0),
        SheetExempt("3101", "未售", "物业公司承担", 297),
    ),
    company_fen=297,
    company_weight=Decimal("87.5"),
    meters=(SheetMeter("1号楼电梯", "120.5"),),
    evidence_url="https://hutong.example/bill-sheets/2026-10#p1",
)
DOCUMENTS: list[Document] = [BILL, RECEIPT, LETTER, SHEET]


@pytest.fixture(scope="module")
def printer() -> Printer:
    return Printer()


def text_of(pdf: bytes) -> str:
    """Give the text of all pages; CJK spacing of a reader is not the document's."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]
    return "".join("\n".join(pages).split())


def test_a_bill_says_all_that_a_household_asks(printer: Printer) -> None:
    pdf = printer.pdf(BILL)
    text = text_of(pdf)
    for words in (
        "电费账单2026年10月",
        "青松花园物业服务中心",
        "张晓明",
        "1号楼2单元1203",
        "2026年11月16日前",
        "SDM630-20117788",
        "12,345.67",
        "12,690.12＊",
        "140.33kWh0.597183.79",
        "第2档谷时",
        "电费小计156.68",
        "壹佰陆拾叁元伍角柒分",
        "163.57",
        "微信、支付宝扫码",
        "下期按实际示数退补",
        "第1页共1页",
    ):
        assert words in text, words
    assert "农网还贷资金小计" not in text
    assert len(PdfReader(io.BytesIO(pdf)).pages) == 1


def test_a_receipt_and_its_stamp(printer: Printer) -> None:
    text = text_of(printer.pdf(RECEIPT))
    for words in ("收款收据", "R-000123", "微信", "预收款100.00", "贰佰陆拾叁元伍角柒分", "李收费"):
        assert words in text, words
    assert "已作废" not in text
    assert "已作废" in text_of(printer.pdf(replace(RECEIPT, voided_on=date(2026, 11, 6))))


def test_a_dunning_letter(printer: Printer) -> None:
    text = text_of(printer.pdf(LETTER))
    for words in (
        "尊敬的张晓明",
        "截至2026年11月22日",
        "2026年11月29日前缴清",
        "水费违约金10.002.507.50",
        "壹佰柒拾壹元零柒分",
        "预收款12.00元",
    ):
        assert words in text, words


def test_a_public_sheet_lists_every_home_and_no_holder(printer: Printer) -> None:
    pdf = printer.pdf(SHEET)
    text = text_of(pdf)
    for words in (
        "公摊费用公示表",
        "上限为总表用量的5%",
        "其中计入分摊：1号楼电梯120.5",
        "上期结转-12.5",
        "前期示数更正3.2",
        "超过上限，由物业公司承担7.1",
        "面积（m²）",
        "101底层其余各户承担0.00",
        "3101未售物业公司承担2.97",
        "2026年3月业主大会决议",
        "合计121户",
        "10917.0",
        "370.81",
    ):
        assert words in text, words
    for share in SHEET.shares:
        assert f"{share.premise}89.53.04" in text
    assert len(PdfReader(io.BytesIO(pdf)).pages) == 3
    assert "与物业公司承担部分之和与分摊总额一致" in text
    assert "结转下期" not in text
    assert "与分摊总额一致" not in text_of(printer.pdf(replace(SHEET, total_fen=1)))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: type(each).__name__)
def test_the_same_data_are_the_same_bytes(printer: Printer, document: Document) -> None:
    first = printer.pdf(document)
    assert first.startswith(b"%PDF-")
    assert printer.pdf(document) == first
    assert Printer().pdf(document) == first


HOSTILE = [
    '#eval("1 + 1")',
    "#panic()",
    "$x^2$",
    "*strong* _thin_ `raw`",
    "= heading",
    "\\#show",
    "</script>&amp;",
    "#sys.inputs.data",
    '"quoted"',
    "// no comment",
    "@ref <label>",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_printed_as_it_stands(printer: Printer, name: str) -> None:
    line = replace(LINES[0], item=name, of=name)
    hostile = replace(BILL, home=Home(name, name, name), lines=(line,), notes=(name,))
    wanted = "".join(name.split())
    assert text_of(printer.pdf(hostile)).count(wanted) >= 5


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30))
def test_no_name_breaks_a_document(name: str) -> None:
    document = replace(LETTER, home=Home(name, name, name))
    assert SHARED.pdf(document).startswith(b"%PDF-")


SHARED = Printer()


def test_a_long_bill_has_more_pages_with_the_head_of_its_table(printer: Printer) -> None:
    lines = tuple(replace(LINES[0], of=f"第{place}档") for place in range(1, 80))
    long = replace(BILL, lines=lines, total_fen=79 * 8379)
    pages = PdfReader(io.BytesIO(printer.pdf(long))).pages
    assert len(pages) == 3
    assert "阶梯" in pages[1].extract_text()
    assert "第3页共3页" in "".join(pages[2].extract_text().split())


def test_pages_can_be_looked_at(printer: Printer) -> None:
    (page,) = printer.pages(BILL, ppi=40)
    assert page.startswith(b"\x89PNG")


def test_templates_of_ones_own_go_before_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "receipt.typ").write_text(
        '#import "paper.typ": *\n#show: paper\n自己的收据 #data.total\n', encoding="utf-8"
    )
    shape = '<rect width="9" height="9"/>'
    logo = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{shape}</svg>'
    (tmp_path / "logo.svg").write_text(logo, encoding="utf-8")
    printer = Printer(templates=tmp_path)
    assert "自己的收据263.57" in text_of(printer.pdf(RECEIPT))
    assert "电费账单" in text_of(printer.pdf(BILL))
    assert printer.pdf(BILL) != SHARED.pdf(BILL)


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(PrintError, match=r"HUTONG_TEMPLATES: .*: allowed is a folder"):
        Printer(templates=tmp_path / "none")
    with pytest.raises(PrintError, match=r"HUTONG_FONTS: .*: no font in it"):
        Printer(fonts=tmp_path)
    (tmp_path / "bill.typ").write_text("#let", encoding="utf-8")
    with pytest.raises(PrintError, match=r"bill\.typ: .*expected pattern"):
        Printer(templates=tmp_path).pdf(BILL)


def test_all_templates_are_shipped() -> None:
    names = {path.name for path in BUILT_IN.glob("*.typ")}
    assert names == {"paper.typ", "bill.typ", "receipt.typ", "dunning.typ", "sheet.typ"}
