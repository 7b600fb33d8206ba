"""Daily bills 对账单 of the channels read into lines: every line understood, or an error (pure)."""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from cloud.documents import DocumentError
from cloud.money import yuan_to_fen
from protocols.delivery.records import microseconds

# both channels' clocks and days
CHANNEL_ZONE: Final = ZoneInfo("Asia/Shanghai")
MOST_BYTES: Final = 64 * 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_WECHAT_KINDS: Final = {"SUCCESS": "payment", "REFUND": "refund", "REVOKED": "refund"}
_ALIPAY_KINDS: Final = {"交易": "payment", "退款": "refund"}

Kind = Literal["payment", "refund"]


@dataclass(frozen=True)
class BillLine:
    """One movement of money as the channel has it; `place` is its line in the file."""

    place: int
    kind: Kind
    number: str
    transaction_id: str
    refund_number: str
    amount_fen: int
    at_us: int


def wechat_bill(content: bytes, *, name: str) -> list[BillLine]:
    """Read WeChat Pay's 交易账单 (CSV, may be gzipped); DocumentError."""
    return _wechat_lines(_text(_unpacked(content, name=name), "utf-8-sig", name=name), name=name)


def alipay_bill(content: bytes, *, name: str) -> list[BillLine]:
    """Read Alipay's 业务明细 (CSV in GBK, may be in a zip beside its summary); DocumentError."""
    if not content.startswith(_ZIP):
        return _alipay_lines(_text(content, "gb18030", name=name), name=name)
    found: list[tuple[str, str]] = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if entry.file_size > MOST_BYTES:
                    raise _too_large(f"{name}: {entry.filename}")
                text = _text(archive.read(entry), "gb18030", name=f"{name}: {entry.filename}")
                # the summary beside it has other columns
                if "业务明细列表" in text:
                    found.append((f"{name}: {entry.filename}", text))
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        msg = f"{name}: no zip that can be read: {error}"
        raise DocumentError(msg) from None
    if len(found) != 1:
        msg = f"{name}: {len(found)} files with 业务明细列表: allowed is 1"
        raise DocumentError(msg)
    inner, text = found[0]
    return _alipay_lines(text, name=inner)


READERS: Final[Mapping[str, Callable[..., list[BillLine]]]] = {
    "wechat": wechat_bill,
    "alipay": alipay_bill,
}


@dataclass(frozen=True)
class _Row:
    """A row by the titles of its columns."""

    name: str
    place: int
    cells: Mapping[str, str]

    def text(self, *titles: str) -> str:
        """Return the first of some columns that is there."""
        for title in titles:
            if title in self.cells:
                return self.cells[title]
        msg = f"{self.name}: column {titles[0]}: missing"
        raise DocumentError(msg)

    def fen(self, *titles: str) -> int:
        """Return an amount; a refund's may be below zero in the file, and is not here."""
        text = self.text(*titles)
        try:
            return abs(yuan_to_fen(text))
        except ValueError as error:
            msg = f"{self.name}: line {self.place}: {titles[0]}: {error}"
            raise DocumentError(msg) from None

    def at_us(self, *titles: str) -> int:
        """Return an instant of the channel's clock."""
        text = self.text(*titles)
        try:
            local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHANNEL_ZONE)
        except ValueError:
            msg = (
                f"{self.name}: line {self.place}: {titles[0]}: {text!r}:"
                " allowed is YYYY-MM-DD HH:MM:SS"
            )
            raise DocumentError(msg) from None
        return microseconds(local)

    def kind(self, title: str, kinds: Mapping[str, str]) -> Kind:
        """Return what kind of movement it is."""
        word = self.text(title)
        if word not in kinds:
            msg = (
                f"{self.name}: line {self.place}: {title}: {word!r}: allowed are {', '.join(kinds)}"
            )
            raise DocumentError(msg)
        return "payment" if kinds[word] == "payment" else "refund"


def _wechat_lines(text: str, *, name: str) -> list[BillLine]:
    rows = [(place, row) for place, row in _rows(text, quote="`") if any(row)]
    ends = [at for at, (_, row) in enumerate(rows) if row[0].startswith("总交易单数")]
    if not rows or "微信订单号" not in rows[0][1] or len(ends) != 1 or ends[0] + 1 >= len(rows):
        msg = f"{name}: allowed is a whole bill: a line of titles with 微信订单号, and totals"
        raise DocumentError(msg)
    titles, details = rows[0][1], rows[1 : ends[0]]
    count = rows[ends[0] + 1][1][0]
    if not count.isdecimal() or int(count) > len(details):
        msg = f"{name}: {len(details)} lines: 总交易单数 says {count}"
        raise DocumentError(msg)
    lines = []
    for row in _named(details, titles, name=name):
        kind = row.kind("交易状态", _WECHAT_KINDS)
        columns = (
            ("订单金额", "应结订单金额", "总金额")
            if kind == "payment"
            else ("申请退款金额", "退款金额")
        )
        lines.append(
            BillLine(
                row.place,
                kind,
                row.text("商户订单号"),
                row.text("微信订单号"),
                row.text("商户退款单号") if kind == "refund" else "",
                row.fen(*columns),
                row.at_us("交易时间"),
            )
        )
    return lines


def _alipay_lines(text: str, *, name: str) -> list[BillLine]:
    rows = list(_rows(text, quote="\t"))
    heads = [at for at, (_, row) in enumerate(rows) if row and row[0] == "支付宝交易号"]
    ends = [at for at, (_, row) in enumerate(rows) if row and "业务明细列表结束" in row[0]]
    if len(heads) != 1 or len(ends) != 1 or ends[0] < heads[0]:
        msg = f"{name}: allowed is a whole bill: a line of titles with 支付宝交易号, and its end"
        raise DocumentError(msg)
    details = [(place, row) for place, row in rows[heads[0] + 1 : ends[0]] if any(row)]
    lines = []
    for row in _named(details, rows[heads[0]][1], name=name):
        kind = row.kind("业务类型", _ALIPAY_KINDS)
        lines.append(
            BillLine(
                row.place,
                kind,
                row.text("商户订单号"),
                row.text("支付宝交易号"),
                row.text("退款批次号/请求号") if kind == "refund" else "",
                row.fen("订单金额（元）", "订单金额(元)"),
                row.at_us("完成时间"),
            )
        )
    return lines


def _named(
    rows: Sequence[tuple[int, list[str]]], titles: Sequence[str], *, name: str
) -> Iterator[_Row]:
    for place, row in rows:
        # a trailing comma makes an empty cell more
        cells = row[: len(titles)]
        if len(cells) != len(titles) or any(row[len(titles) :]):
            msg = f"{name}: line {place}: {len(row)} cells: allowed are {len(titles)}"
            raise DocumentError(msg)
        yield _Row(name, place, dict(zip(titles, cells, strict=True)))


def _rows(text: str, *, quote: str) -> Iterator[tuple[int, list[str]]]:
    # the channels mark text by a backtick before it or a tab after it, so that Excel leaves it
    reader = csv.reader(io.StringIO(text, newline=""))
    for row in reader:
        yield reader.line_num, [cell.strip().strip(quote).strip() for cell in row]


def _text(content: bytes, encoding: str, *, name: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        msg = f"{name}: not {encoding} text at byte {error.start}"
        raise DocumentError(msg) from None


def _unpacked(content: bytes, *, name: str) -> bytes:
    if not content.startswith(_GZIP):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(MOST_BYTES + 1)
    except (OSError, EOFError) as error:
        msg = f"{name}: no gzip that can be read: {error}"
        raise DocumentError(msg) from None
    if len(unpacked) > MOST_BYTES:
        raise _too_large(name)
    return unpacked


def _too_large(name: str) -> DocumentError:
    msg = f"{name}: larger than {MOST_BYTES} bytes"
    return DocumentError(msg)
