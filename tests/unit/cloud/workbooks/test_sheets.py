"""Sheets as xlsx: read back by another library, cell by cell; totals; what people typed is text."""

import io
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from cloud.workbooks.sheets import Column, Form, Sheet, to_xlsx

COLUMNS = (
    Column("名称", Form.TEXT),
    Column("金额", Form.MONEY, is_summed=True),
    Column("数量", Form.QUANTITY, is_summed=True),
    Column("户数", Form.COUNT, is_summed=True),
    Column("率", Form.RATE),
    Column("日期", Form.DAY),
)
MOST_FEN = 10**14


def cells_of(made: bytes, sheet: str = "表") -> list[list[object]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(made))
    rows = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    return [list(row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20),
            st.integers(-MOST_FEN, MOST_FEN),
            st.decimals(0, 10**6, places=3),
            st.integers(0, 10**6),
            st.none() | st.decimals(0, 1, places=4),
            st.none() | st.dates(date(1990, 1, 1), date(2099, 1, 1)),
        ),
        max_size=20,
    )
)
def test_what_is_written_reads_back(
    rows: list[tuple[str, int, Decimal, int, Decimal, date]],
) -> None:
    made = to_xlsx([Sheet("表", "标题", COLUMNS, tuple(rows), ("说明",))], in_all="合计")
    found = cells_of(made)
    assert found[0][0] == "标题"
    assert found[1][0] == "说明"
    assert found[3] == [column.title for column in COLUMNS]
    for row, cells in zip(rows, found[4:], strict=False):
        name, fen, quantity, count, rate, day = row
        assert cells[0] == name
        assert round(Decimal(repr(cells[1])) * 100) == fen
        assert Decimal(repr(cells[2])) == quantity
        assert cells[3] == count
        assert cells[4] == ("" if rate is None else pytest.approx(float(rate)))
        assert cells[5] == ("" if day is None else day)
    last = found[-1]
    assert last[0] == "合计"
    assert round(Decimal(repr(last[1])) * 100) == sum(row[1] for row in rows)
    assert Decimal(repr(last[2])) == sum(row[2] for row in rows)
    assert last[3] == sum(row[3] for row in rows)
    assert last[4] == last[5] == ""


@pytest.mark.parametrize("name", ["=1+1", "+86 10", "@SUM(A1)", "http://x", "{=A1}", "-2", "007"])
def test_what_people_typed_stays_text(name: str) -> None:
    rows = ((name, 1, Decimal(1), 1, None, None),)
    assert cells_of(to_xlsx([Sheet("表", "", COLUMNS, rows)], in_all="合计"))[3][0] == name


def test_a_rate_of_all_stands_in_the_last_row() -> None:
    sheet = Sheet("表", "", COLUMNS, (("a", 1, Decimal(1), 1, Decimal("0.5"), None),))
    rated = Sheet(**{**vars(sheet), "overall": ((4, Decimal("0.625")),)})
    assert cells_of(to_xlsx([rated], in_all="合计"))[-1][4] == 0.625


def test_the_same_sheets_are_the_same_bytes() -> None:
    sheet = Sheet("表", "标题", COLUMNS, (("a", 1, Decimal(1), 1, None, date(2026, 1, 1)),))
    assert to_xlsx([sheet], in_all="合计") == to_xlsx([sheet], in_all="合计")


def test_a_number_that_a_spreadsheet_would_round_is_refused() -> None:
    sheet = Sheet("表", "", COLUMNS[:2], (("a", 1_234_567_890_123_456),))
    with pytest.raises(ValueError, match=r"12345678901234\.56: allowed are numbers of at most 15"):
        to_xlsx([sheet], in_all="合计")
