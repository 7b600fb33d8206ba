"""A report as sheets of typed columns, and sheets as an xlsx file (pure)."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Final

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

Cell = str | int | Decimal | date | None


class Form(Enum):
    """What a column holds: MONEY integer fen, RATE a pair's quotient as a Decimal."""

    TEXT = "@"
    MONEY = "#,##0.00"
    QUANTITY = "#,##0.00##"
    COUNT = "#,##0"
    RATE = "0.0%"
    DAY = "yyyy-mm-dd"


@dataclass(frozen=True)
class Column:
    """A column; `is_summed` puts its sum into the last row."""

    title: str
    form: Form = Form.TEXT
    width: int = 14
    is_summed: bool = False


@dataclass(frozen=True)
class Sheet:
    """A sheet: rows under columns, with what a reader must know of them above.

    overall are the (column, rate) of the last row, where a sum would make no sense.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    overall: tuple[tuple[int, Decimal], ...] = ()

    def totals(self) -> tuple[int | Decimal | None, ...]:
        """Give the sum of each column that is summed, None for the others."""
        return tuple(
            sum((_number(row[place]) for row in self.rows), 0) if column.is_summed else None
            for place, column in enumerate(self.columns)
        )


# a spreadsheet keeps 15 digits: what has more would be another number
_MOST_DIGITS: Final = 15
_MOST_NAME: Final = 31
_CREATED: Final = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def to_xlsx(sheets: Sequence[Sheet], *, in_all: str) -> bytes:
    """Return sheets as an xlsx file, the same bytes for the same sheets.

    `in_all` is the word before totals. ValueError for a number that a spreadsheet would round.
    """
    out = io.BytesIO()
    # what people typed is text: no formula, no address, no number
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
    }
    with xlsxwriter.Workbook(out, options) as book:
        book.set_properties({"created": _CREATED})
        styles = _Styles(book)
        for sheet in sheets:
            page = book.add_worksheet(sheet.name[:_MOST_NAME])
            _write(page, sheet, styles, in_all)
    return out.getvalue()


class _Styles:
    """The formats of a workbook, each made once."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.note = book.add_format({"font_color": "#66716d", "font_size": 9})
        frame = {"bottom": 1, "bottom_color": "#b9c2be", "valign": "vcenter"}
        head = frame | {"bold": True, "bg_color": "#e8edea", "text_wrap": True}
        self.head = {
            is_text: book.add_format(head | {"align": "left" if is_text else "right"})
            for is_text in (True, False)
        }
        self.cell = {form: book.add_format(frame | {"num_format": form.value}) for form in Form}
        last = {"bold": True, "top": 2, "valign": "vcenter"}
        self.total = {form: book.add_format(last | {"num_format": form.value}) for form in Form}


def _write(page: Worksheet, sheet: Sheet, styles: _Styles, in_all: str) -> None:
    page.write_string(0, 0, sheet.title, styles.title)
    for line, note in enumerate(sheet.notes, 1):
        page.write_string(line, 0, note, styles.note)
    head = len(sheet.notes) + 2
    page.set_row(head, 30)
    for place, column in enumerate(sheet.columns):
        page.set_column(place, place, column.width)
        is_text = column.form in {Form.TEXT, Form.DAY}
        page.write_string(head, place, column.title, styles.head[is_text])
    for line, row in enumerate(sheet.rows, head + 1):
        for place, (column, cell) in enumerate(zip(sheet.columns, row, strict=True)):
            _put(page, line, place, column.form, cell, styles.cell[column.form])
    end = head + len(sheet.rows)
    if any(column.is_summed for column in sheet.columns):
        _write_totals(page, sheet, styles, in_all, head=head, end=end)
    page.autofilter(head, 0, end, len(sheet.columns) - 1)
    page.freeze_panes(head + 1, 1)
    page.repeat_rows(head)
    page.set_landscape()
    page.set_paper(9)
    page.fit_to_pages(1, 0)
    page.set_footer("&L&A&R&P / &N")


def _write_totals(
    page: Worksheet, sheet: Sheet, styles: _Styles, in_all: str, *, head: int, end: int
) -> None:
    overall = dict(sheet.overall)
    for place, (column, total) in enumerate(zip(sheet.columns, sheet.totals(), strict=True)):
        style = styles.total[column.form]
        if total is None and place in overall:
            page.write_number(end + 1, place, float(overall[place]), style)
        elif total is None:
            page.write_string(end + 1, place, in_all if place == 0 else "", style)
        elif sheet.rows:
            shown = _shown(column.form, total)
            letter = xlsxwriter.utility.xl_col_to_name(place)
            formula = f"=SUM({letter}{head + 2}:{letter}{end + 1})"
            page.write_formula(end + 1, place, formula, style, shown)
        else:
            page.write_number(end + 1, place, 0, style)


def _put(page: Worksheet, line: int, place: int, form: Form, cell: Cell, style: Format) -> None:
    if cell is None:
        page.write_blank(line, place, None, style)
    elif isinstance(cell, str):
        page.write_string(line, place, cell, style)
    elif isinstance(cell, date):
        page.write_datetime(line, place, datetime.combine(cell, time()), style)
    else:
        page.write_number(line, place, _shown(form, cell), style)


def _shown(form: Form, number: int | Decimal) -> float:
    # a float only here, where the file format has nothing else, and only one that reads back
    exact = Decimal(number).scaleb(-2) if form is Form.MONEY else Decimal(number)
    digits = exact.normalize().as_tuple().digits
    if len(digits) > _MOST_DIGITS:
        msg = f"{exact}: allowed are numbers of at most {_MOST_DIGITS} digits"
        raise ValueError(msg)
    return float(exact)


def _number(cell: Cell) -> int | Decimal:
    return cell if isinstance(cell, int | Decimal) else 0
