"""Reports of the ledger's money: collection, takings, collection rates, arrears by age."""

from collections.abc import Sequence
from typing import Final

from cloud.ledger import reports
from cloud.web import labels
from cloud.web.i18n import N_
from cloud.web.report_frame import (
    Frame,
    became_cells,
    month_index,
    overall,
    quotient,
    settled_rate,
)
from cloud.workbooks import money_queries as money
from cloud.workbooks.money_queries import AccountDebt
from cloud.workbooks.sheets import Cell, Column, Form, Sheet

# months before the last one, least and most; what is older has a column of its own
_ARREARS: Final = ((0, 0), (1, 3), (4, 6), (7, 12))


def collection_sheets(made: Frame) -> list[Sheet]:
    """What became of charges: by item, by month, by building, and by month and item."""
    titles = {"item": N_("Service"), "period": N_("Period"), "building": N_("Building")}
    wanted = {
        N_("By item"): ("item",),
        N_("By month"): ("period",),
        N_("By building"): ("building",),
        N_("By month and item"): ("period", "item"),
    }
    sheets: list[Sheet] = []
    for title, by in wanted.items():
        rows = money.became(
            made.connection, made.project_id, first=made.span.first, last=made.span.last, by=by
        )
        columns = [made.text(titles[name], 18) for name in by]
        columns += made.became()
        shown = tuple(
            (*_named(made, by, row.name), *became_cells(row), settled_rate([row])) for row in rows
        )
        sheets.append(
            Sheet(
                made.words(title),
                f"{made.words(N_('Collection'))} · {made.words(title)}",
                (*columns, made.rate(N_("Collection rate"))),
                shown,
                (
                    made.note(),
                    made.words(N_("Charged = received + relieved + offset + owed, in every row.")),
                ),
                overall(len(columns), settled_rate(rows)),
            )
        )
    return sheets


def takings_sheets(made: Frame) -> list[Sheet]:
    """What came in and went out: by channel, and by day and channel."""
    span = made.span
    rows = reports.takings(made.connection, made.project_id, first=span.from_on, last=span.to_on)
    by_channel: dict[str, list[int]] = {}
    for row in rows:
        sums = by_channel.setdefault(row.channel, [0, 0])
        sums[0] += row.taken_fen
        sums[1] += row.given_fen

    def channel(code: str) -> str:
        return made.word(labels.CHANNELS, code)

    columns = made.fen(N_("Taken"), N_("Given back"), N_("Net"))
    note = made.words(N_("Money by the day it was entered; {first} to {last}")).format(
        first=span.from_on, last=span.to_on
    )
    return [
        Sheet(
            made.words(N_("Takings by channel")),
            made.words(N_("Takings by channel")),
            (made.text(N_("Channel")), *columns),
            tuple(
                (channel(code), taken, given, taken - given)
                for code, (taken, given) in by_channel.items()
            ),
            (note,),
        ),
        Sheet(
            made.words(N_("Takings by day")),
            made.words(N_("Takings by day")),
            (Column(made.words(N_("Day")), Form.DAY), made.text(N_("Channel")), *columns),
            tuple(
                (
                    row.day,
                    channel(row.channel),
                    row.taken_fen,
                    row.given_fen,
                    row.taken_fen - row.given_fen,
                )
                for row in rows
            ),
            (note,),
        ),
    ]


def rate_sheets(made: Frame) -> list[Sheet]:
    """The current collection rate 当期收缴率, and apart from it that of old arrears 清欠率."""
    span = made.span
    current = money.became(
        made.connection, made.project_id, first=span.first, last=span.last, by=("period",)
    )
    old = money.old_arrears(
        made.connection, made.project_id, before=span.first, from_on=span.from_on, to_on=span.to_on
    )
    rows: list[tuple[Cell, ...]] = []
    for row in old:
        moved = (row.charged_fen, row.received_fen, row.relieved_fen, row.offset_fen)
        due = row.owed_before_fen + row.charged_fen - row.relieved_fen
        rate = quotient(row.received_fen + row.offset_fen, due)
        rows.append((*row.name, row.owed_before_fen, *moved, row.owed_after_fen, rate))
    settled_fen = sum(row.received_fen + row.offset_fen for row in old)
    due_fen = sum(row.owed_before_fen + row.charged_fen - row.relieved_fen for row in old)
    columns = made.fen(
        N_("Owed before"),
        N_("Charged since"),
        N_("Paid"),
        N_("Relieved"),
        N_("Offset"),
        N_("Owed after"),
    )
    return [
        Sheet(
            made.words(N_("Current collection rate")),
            made.words(N_("Current collection rate")),
            (
                made.text(N_("Period")),
                *made.became(),
                made.rate(N_("Current collection rate")),
            ),
            tuple((*row.name, *became_cells(row), settled_rate([row])) for row in current),
            (
                made.note(),
                made.words(
                    N_("Received and offset, of what was charged for these months and not relieved")
                ),
            ),
            overall(6, settled_rate(current)),
        ),
        Sheet(
            made.words(N_("Collection rate of old arrears")),
            made.words(N_("Collection rate of old arrears")),
            (made.text(N_("Building")), *columns, made.rate(N_("Collection rate of old arrears"))),
            tuple(rows),
            (
                made.words(
                    N_("Charges for months before {first}, entries of {from_on} to {to_on}")
                ).format(first=span.first, from_on=span.from_on, to_on=span.to_on),
            ),
            overall(7, quotient(settled_fen, due_fen)),
        ),
    ]


def ageing_sheets(made: Frame) -> list[Sheet]:
    """What each account owes by the age of the charge 账龄, in months before the last one."""
    by_account: dict[str, list[AccountDebt]] = {}
    for debt in money.debts(made.connection, made.project_id, last=made.span.last):
        by_account.setdefault(debt.account, []).append(debt)
    rows: list[tuple[Cell, ...]] = []
    for account, found in by_account.items():
        buckets = [0] * (len(_ARREARS) + 1)
        for debt in found:
            age = month_index(made.span.last) - month_index(debt.period)
            place = next(
                (at for at, (least, most) in enumerate(_ARREARS) if least <= age <= most),
                len(_ARREARS),
            )
            buckets[place] += debt.owed_fen
        first = found[0]
        rows.append((first.building, first.premise, first.holder, account, *buckets, sum(buckets)))
    columns = made.fen(
        N_("This month"),
        N_("1 to 3 months"),
        N_("4 to 6 months"),
        N_("7 to 12 months"),
        N_("Over 12 months"),
        N_("Owed"),
    )
    people = [
        made.text(N_("Building")),
        made.text(N_("Premise")),
        made.text(N_("Holder"), 20),
        made.text(N_("Account"), 16),
    ]
    note = made.words(N_("As owed now, by the age of the billing month up to {last}")).format(
        last=made.span.last
    )
    title = made.words(N_("Arrears by age"))
    return [Sheet(title, title, (*people, *columns), tuple(rows), (note,))]


def _named(made: Frame, by: Sequence[str], name: Sequence[str]) -> list[str]:
    return [
        made.word(labels.SERVICES, value) if group == "item" else value
        for group, value in zip(by, name, strict=True)
    ]
