"""Files of register reads, xlsx or CSV: their rows as people typed them (pure)."""

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from python_calamine import CalamineError, CalamineWorkbook

from cloud.documents import DocumentError
from protocols.delivery.records import microseconds

MOST_BYTES: Final = 5 * 1024 * 1024
MOST_ROWS: Final = 20_000
# what a file of that size may unpack to
_MOST_UNPACKED: Final = 100 * 1024 * 1024
_HEAD_ROWS: Final = 20
_MOST_DIGITS: Final = 18

# how a column may be called; the first two are what we write, in Chinese and in English
COLUMNS: Final = {
    "meter_point": ("计量点", "meter point", "meter_point", "计量点编号"),
    "meter": ("表号", "meter number", "meter", "meter_no"),
    "register": ("本期示数", "register", "示数", "读数"),
    "read_at": ("抄表时间", "read at", "read_at", "抄表日期"),
    "note": ("备注", "note"),
}
_WORDS: Final = {word: key for key, words in COLUMNS.items() for word in words}
_MOMENTS: Final = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
)


@dataclass(frozen=True)
class FileRow:
    """One row with a register in it: its line, and its cells as text."""

    line: int
    meter_point: str
    meter: str
    register: str
    read_at: str
    note: str


def rows_of(body: bytes, *, name: str) -> list[FileRow]:
    """Return the rows that have a register; DocumentError for what is no such file.

    Above the row of titles may stand others. Rows without a register are points not read.
    """
    if len(body) > MOST_BYTES:
        message = f"{name}: {len(body)} bytes: allowed are {MOST_BYTES}"
        raise DocumentError(message)
    table = _sheet(body, name) if body.startswith(b"PK") else _text(body, name)
    if len(table) > MOST_ROWS:
        message = f"{name}: {len(table)} rows: allowed are {MOST_ROWS}"
        raise DocumentError(message)
    for number, titles in enumerate(table[:_HEAD_ROWS]):
        places = _places(titles)
        if "register" in places and places.keys() & {"meter_point", "meter"}:
            return _filled(table, number, places)
    wanted = ", ".join(COLUMNS[key][0] for key in ("meter_point", "register", "read_at"))
    message = f"{name}: no row of titles: allowed begins with a row that has {wanted}"
    raise DocumentError(message)


def count_of(register: str, exponent: int) -> int:
    """Return a register's text as counts of 10**exponent, exactly; ValueError."""
    try:
        value = Decimal(register.strip().replace(",", "").replace("，", "").translate(_WIDE))
    except InvalidOperation:
        message = f"register: {register!r}: allowed is a number"
        raise ValueError(message) from None
    if not value.is_finite() or len(value.as_tuple().digits) > _MOST_DIGITS:
        message = f"register: {register!r}: allowed is a number"
        raise ValueError(message)
    # a huge exponent would make a huge integer
    if value and not -_MOST_DIGITS <= value.adjusted() <= _MOST_DIGITS:
        message = f"register: {register!r}: allowed is a number"
        raise ValueError(message)
    counts = value.scaleb(-exponent)
    if counts != counts.to_integral_value():
        message = f"register: {register!r}: allowed are {max(0, -exponent)} decimals"
        raise ValueError(message)
    return int(counts)


def moment_us(text: str, zone: ZoneInfo) -> int:
    """Return a local day, or day and time, in microseconds; a day alone begins at 00:00."""
    for form in _MOMENTS:
        try:
            local = datetime.strptime(text.strip(), form).replace(tzinfo=zone)
        except ValueError:
            continue
        return microseconds(local.astimezone(UTC))
    message = f"read_at: {text!r}: allowed is 2026-11-30 or 2026-11-30 18:00"
    raise ValueError(message)


# full-width digits and stops of Chinese input methods
_WIDE: Final = {0xFF10 + n: ord("0") + n for n in range(10)} | {0xFF0E: ord("."), 0x3002: ord(".")}


def _sheet(body: bytes, name: str) -> list[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            unpacked = sum(part.file_size for part in packed.infolist())
        if unpacked > _MOST_UNPACKED:
            message = f"{name}: unpacks to {unpacked} bytes: allowed are {_MOST_UNPACKED}"
            raise DocumentError(message)
        book = CalamineWorkbook.from_filelike(io.BytesIO(body))
        table = book.get_sheet_by_index(0).to_python(skip_empty_area=False, nrows=MOST_ROWS + 1)
    except (CalamineError, zipfile.BadZipFile, OSError) as error:
        message = f"{name}: no xlsx that can be read ({error}): allowed are .xlsx and .csv"
        raise DocumentError(message) from error
    return [[_cell(cell) for cell in row] for row in table]


def _text(body: bytes, name: str) -> list[list[str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        head = text.partition("\n")[0]
        mark = max((",", "\t", ";"), key=head.count)
        try:
            return [
                [cell.strip() for cell in row]
                for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark)
            ]
        except csv.Error as error:
            message = f"{name}: no CSV that can be read ({error}): allowed are .xlsx and .csv"
            raise DocumentError(message) from error
    message = f"{name}: neither xlsx nor text in UTF-8 or GB 18030: allowed are .xlsx and .csv"
    raise DocumentError(message)


def _cell(cell: object) -> str:
    if isinstance(cell, float):
        # the shortest text that reads back: what the spreadsheet shows
        return f"{Decimal(repr(cell)).normalize():f}"
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}" if cell.time() != time() else f"{cell:%Y-%m-%d}"
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell).strip()


def _places(titles: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, title in enumerate(titles):
        key = _WORDS.get(title.strip().lower())
        if key is not None:
            found.setdefault(key, place)
    return found


def _filled(table: Sequence[Sequence[str]], head: int, places: dict[str, int]) -> list[FileRow]:
    found = []
    for line, row in enumerate(table[head + 1 :], head + 2):
        cells = {key: row[place] if place < len(row) else "" for key, place in places.items()}
        if cells["register"].strip():
            found.append(
                FileRow(
                    line,
                    cells.get("meter_point", ""),
                    cells.get("meter", ""),
                    cells["register"],
                    cells.get("read_at", ""),
                    cells.get("note", ""),
                )
            )
    return found
