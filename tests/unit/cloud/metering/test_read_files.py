"""Files of reads: titles found, cells as typed, counts exact, nonsense refused."""

import io
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from cloud.documents import DocumentError
from cloud.metering.read_files import MOST_BYTES, FileRow, count_of, moment_us, rows_of

ZONE = ZoneInfo("Asia/Shanghai")


def book(*rows: list[object]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}) as made:
        page = made.add_worksheet()
        for line, row in enumerate(rows):
            page.write_row(line, 0, row)
    return out.getvalue()


def test_a_workbook_is_read_as_people_typed_it() -> None:
    body = book(
        ["抄表 2026年11月"],
        [],
        ["楼栋", "计量点", "表号", "本期示数", "抄表时间", "备注"],
        ["1号楼", "mp-1", "M-1", 123.45, date(2026, 11, 30), "门后"],
        ["1号楼", "mp-2", "M-2", "", "", ""],
        ["1号楼", "mp-3", "", "1,200.5", datetime.fromisoformat("2026-11-30T18:05"), ""],
    )
    assert rows_of(body, name="a.xlsx") == [
        FileRow(4, "mp-1", "M-1", "123.45", "2026-11-30", "门后"),
        FileRow(6, "mp-3", "", "1,200.5", "2026-11-30 18:05:00", ""),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_csv_comes_in_every_dress(encoding: str, mark: str) -> None:
    lines = [["表号", "读数", "抄表日期"], ["M-1", "12", "2026/11/30"], ["M-2", "", ""]]
    body = "\r\n".join(mark.join(line) for line in lines).encode(encoding)
    assert rows_of(body, name="a.csv") == [FileRow(2, "", "M-1", "12", "2026/11/30", "")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"PK\x03\x04 broken", "no xlsx that can be read"),
        (book(["name", "value"], ["a", 1]), "no row of titles"),
        (b"\x89PNG\r\n\x1a\n\0\0", "neither xlsx nor text"),
        (b"", "no row of titles"),
        (b"x" * (MOST_BYTES + 1), "bytes: allowed are"),
        ("计量点,本期示数\n".encode() + b"a,1\n" * 20_001, "rows: allowed are"),
    ],
)
def test_what_is_no_file_of_reads_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        rows_of(body, name="a.xlsx")


@given(st.integers(0, 10**12), st.integers(-4, 0), st.sampled_from(["", "0", "00"]), st.booleans())
def test_counts_are_exact(count: int, exponent: int, zeros: str, grouped: bool) -> None:  # noqa: FBT001 - drawn
    value = Decimal(count).scaleb(exponent)
    text = f"{value:,f}" if grouped else f"{value:f}"
    assert count_of(text + (zeros if "." in text else ""), exponent) == count


@pytest.mark.parametrize("text", ["", "abc", "1.234", "NaN", "Infinity", "1e999999", "1" * 40])
def test_no_register_is_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="register"):
        count_of(text, -2)


def test_full_width_digits_count() -> None:
    assert count_of("\uff11\uff12\uff0e\uff15", -2) == 1250


def test_a_day_alone_begins_at_midnight_of_the_place() -> None:
    day = moment_us("2026-11-30", ZONE)
    assert moment_us("2026/11/30 00:00", ZONE) == day
    assert moment_us("2026-11-30T18:05", ZONE) - day == (18 * 60 + 5) * 60_000_000
    with pytest.raises(ValueError, match="read_at"):
        moment_us("30.11.2026", ZONE)
