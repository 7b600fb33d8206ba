"""Reports of records: bought against sold, changes in the books, requests and decisions."""

from cloud.ledger import approvals
from cloud.ledger.approvals import Request
from cloud.web import labels
from cloud.web.i18n import N_
from cloud.web.report_frame import Frame
from cloud.workbooks import record_queries as records
from cloud.workbooks.sheets import Cell, Column, Form, Sheet
from protocols.delivery.records import instant


def spread_sheets(made: Frame) -> list[Sheet]:
    """What was bought against what was sold 购销差, by master meter and month."""
    found = records.spreads(
        made.connection, made.project_id, first=made.span.first, last=made.span.last
    )

    def amount(title: str) -> Column:
        return Column(made.words(title), Form.QUANTITY, 14, is_summed=True)

    charged = made.fen(N_("Charged to sub-meters"), N_("Shared among homes"), N_("Difference"))
    columns = (
        made.text(N_("Period")),
        made.text(N_("Building")),
        made.text(N_("Master meter"), 20),
        made.text(N_("Invoice"), 18),
        made.text(N_("Unit of measure"), 8),
        amount(N_("Bought")),
        amount(N_("Sold")),
        amount(N_("Lost")),
        *made.fen(N_("Paid to the supplier")),
        *charged,
    )
    rows = tuple(
        (
            row.period,
            row.building,
            row.master,
            row.invoice,
            row.uom,
            row.bought,
            row.sold,
            row.lost,
            row.bought_fen,
            row.sold_fen,
            row.shared_fen,
            row.gained_fen,
        )
        for row in found
    )
    title = made.words(N_("Bought against sold"))
    return [Sheet(title, title, columns, rows, (made.note(),))]


def change_sheets(made: Frame) -> list[Sheet]:
    """What was undone, forgiven and given back 变更记录, and what was asked and decided."""
    span = made.span
    entered = records.changes(
        made.connection, made.project_id, from_on=span.from_on, to_on=span.to_on
    )
    note = made.words(N_("{first} to {last}")).format(first=span.from_on, last=span.to_on)
    place = [
        made.text(N_("Account"), 16),
        made.text(N_("Building")),
        made.text(N_("Premise")),
        made.text(N_("Holder"), 20),
    ]
    changes = made.words(N_("Changes in the books"))
    asked = made.words(N_("Requests and approvals"))
    return [
        Sheet(
            changes,
            changes,
            (
                made.text(N_("Entered"), 18),
                made.text(N_("Kind")),
                made.text(N_("Number")),
                *place,
                made.text(N_("Undoes")),
                *made.fen(N_("Amount")),
                made.text(N_("By")),
                made.text(N_("Note"), 30),
            ),
            tuple(
                (
                    made.moment(row.entered_us),
                    made.word(labels.ENTRIES, row.kind),
                    row.number,
                    row.account,
                    row.building,
                    row.premise,
                    row.holder,
                    row.of_number,
                    row.amount_fen,
                    row.entered_by,
                    row.note,
                )
                for row in entered
            ),
            (note,),
        ),
        Sheet(
            asked,
            asked,
            (
                made.text(N_("Asked"), 18),
                made.text(N_("Kind")),
                made.text(N_("Account"), 16),
                *made.fen(N_("Amount")),
                made.text(N_("Reason"), 30),
                made.text(N_("By")),
                made.text(N_("State")),
                made.text(N_("Decisions"), 40),
            ),
            tuple(_request_row(made, each) for each in _requests(made)),
            (note,),
        ),
    ]


def _requests(made: Frame) -> list[Request]:
    span = made.span
    return [
        each
        for each in approvals.requests_of(made.connection, made.project_id)
        if span.from_on <= instant(each.made_us).astimezone(made.zone).date() <= span.to_on
    ]


def _request_row(made: Frame, request: Request) -> tuple[Cell, ...]:
    states = {"waiting": N_("Waiting"), "granted": N_("Granted"), "refused": N_("Refused")}
    said: list[str] = []
    for decision in request.decisions:
        outcome = made.words(states["granted" if decision.granted else "refused"])
        when = made.moment(decision.decided_us)
        said.append(f"{decision.decided_by} {when} {outcome} {decision.note}".strip())
    return (
        made.moment(request.made_us),
        made.word(labels.ENTRIES, request.kind),
        request.account_id or "",
        request.amount_fen,
        request.reason,
        request.made_by,
        made.word(states, request.state),
        "; ".join(said),
    )
