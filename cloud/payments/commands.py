"""The commands `hutong-cloud payments`."""

import json
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from cloud.config import Settings
from cloud.database import migrated
from cloud.documents import DocumentError
from cloud.errors import CloudError
from cloud.money import fen_to_yuan
from cloud.payments import repository
from cloud.payments.bills import CHANNEL_ZONE, MOST_BYTES, READERS, BillLine
from cloud.payments.reconciliation import Compared, Match, Ours, compare
from cloud.workbooks.sheets import Column, Form, Sheet, to_xlsx
from protocols.delivery.records import instant, microseconds

payments_app = typer.Typer(no_args_is_help=True, help="Online payments against the channels.")

_DIFFERENT = 1


@payments_app.command()
def reconcile(
    file: Path,
    channel: Annotated[str, typer.Option(help=", ".join(READERS))],
    *,
    on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="the bill's day; default: those of its lines"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="an xlsx file of every line")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare a channel's daily bill with the books; exit with 1 where they differ.

    Orders that were paid there and not here are asked after again at once.
    """
    if channel not in READERS:
        message = f"--channel: {channel!r}: allowed are {', '.join(READERS)}"
        raise CloudError(message)
    lines = READERS[channel](_content(file), name=str(file))
    days = {on.date()} if on else {_day(line) for line in lines}
    if not days:
        message = f"--on: missing: {file} has no line that says its day"
        raise CloudError(message)
    with migrated(Settings().database) as engine:
        compared = _compared(engine, channel, lines, first=min(days), last=max(days))
    if out is not None:
        out.write_bytes(to_xlsx([_sheet(channel, days, compared)], in_all="合计"))
    _tell(compared, as_json=as_json)
    if any(each.match is not Match.MATCHED for each in compared):
        raise typer.Exit(_DIFFERENT)


@payments_app.command()
def notices() -> None:
    """List what the channels said of money that is in no book."""
    with migrated(Settings().database) as engine, engine.connect() as connection:
        found = repository.notices_unentered(connection.execution_options(readonly=True))
    for each in found:
        amount = "" if each.amount_fen is None else fen_to_yuan(each.amount_fen)
        at = f"{instant(each.received_us):%Y-%m-%dT%H:%M:%SZ}"
        words = (at, each.channel, each.verdict.value, each.number, each.transaction_id, amount)
        typer.echo("  ".join((*words, each.reason)))


def _compared(
    engine: Engine, channel: str, lines: list[BillLine], *, first: date, last: date
) -> list[Compared]:
    now_us = time.time_ns() // 1000
    numbers = {line.number for line in lines}
    there = {line.transaction_id for line in lines}
    with engine.begin() as connection:
        span = (_midnight_us(first), _midnight_us(last + timedelta(days=1)))
        paid = {
            order.number: order
            for order in (
                *repository.orders_paid(connection, channel, from_us=span[0], to_us=span[1]),
                *repository.orders_by_number(connection, channel, numbers),
            )
        }
        given = repository.refunds_by_number(
            connection, channel, {line.refund_number for line in lines if line.kind == "refund"}
        )
        ours = [
            Ours("payment", order.transaction_id, order.number, order.amount_fen, order.paid_us)
            for order in paid.values()
            # what was paid on another day is not to be in this bill, unless it is
            if order.transaction_id is not None
            and order.paid_us is not None
            and (span[0] <= order.paid_us < span[1] or order.transaction_id in there)
        ]
        ours += [
            Ours("refund", each.number, each.order.number, each.amount_fen, each.made_us)
            for each in given
        ]
        known = {number: order.state.value for number, order in paid.items()}
        compared = compare(lines, ours, known=known)
        missing = {
            each.number
            for each in compared
            if each.match is Match.MISSING_HERE and each.kind == "payment"
        }
        for number in sorted(missing & set(paid)):
            repository.change(connection, paid[number], ask_us=now_us)
    return compared


def _tell(compared: list[Compared], *, as_json: bool) -> None:
    counts = Counter(each.match for each in compared)
    if as_json:
        rows = [
            {
                "match": each.match,
                "kind": each.kind,
                "order": each.number,
                "key": each.key,
                "here": None if each.here_fen is None else fen_to_yuan(each.here_fen),
                "there": None if each.there_fen is None else fen_to_yuan(each.there_fen),
                "note": each.note,
            }
            for each in compared
        ]
        count = {match.value: counts[match] for match in Match}
        typer.echo(json.dumps({"counts": count, "lines": rows}, ensure_ascii=False))
        return
    typer.echo(", ".join(f"{match}: {counts[match]}" for match in Match))
    table = Table("match", "kind", "order", "transaction / refund", "here", "there", "note")
    for each in compared:
        if each.match is not Match.MATCHED:
            here = "" if each.here_fen is None else fen_to_yuan(each.here_fen)
            there = "" if each.there_fen is None else fen_to_yuan(each.there_fen)
            table.add_row(each.match, each.kind, each.number, each.key, here, there, each.note)
    if table.row_count:
        # what does not fit a narrow terminal must not be cut: it is somebody's money
        Console(width=180 if not Console().is_terminal else None).print(table)


def _sheet(channel: str, days: set[date], compared: list[Compared]) -> Sheet:
    words = {
        Match.MATCHED: "一致",
        Match.MISSING_HERE: "我方缺少",
        Match.MISSING_THERE: "渠道缺少",
        Match.DIFFERS: "不一致",
    }
    columns = (
        Column("结果"),
        Column("类型"),
        Column("订单号", width=32),
        Column("交易单号 / 退款单号", width=34),
        Column("我方金额", Form.MONEY, is_summed=True),
        Column("渠道金额", Form.MONEY, is_summed=True),
        Column("说明", width=40),
    )
    rows = tuple(
        (
            words[each.match],
            "收款" if each.kind == "payment" else "退款",
            each.number,
            each.key,
            each.here_fen or 0,
            each.there_fen or 0,
            each.note,
        )
        for each in compared
    )
    title = f"{channel} 对账 {min(days)} – {max(days)}"
    return Sheet("对账", title, columns, rows)


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > MOST_BYTES:
            message = f"{file}: larger than {MOST_BYTES} bytes"
            raise DocumentError(message)
        return file.read_bytes()
    except OSError as error:
        message = f"{file}: cannot be read: {error.strerror}"
        raise DocumentError(message) from None


def _day(line: BillLine) -> date:
    return instant(line.at_us).astimezone(CHANNEL_ZONE).date()


def _midnight_us(day: date) -> int:
    at = datetime(day.year, day.month, day.day, tzinfo=CHANNEL_ZONE)
    return microseconds(at.astimezone(UTC))
