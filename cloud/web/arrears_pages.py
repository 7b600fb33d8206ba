"""Arrears: who owes what since when, reminders on record, letters to print."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Response
from fastapi.responses import RedirectResponse

from cloud.errors import NotFoundError, RefusedError
from cloud.ledger import arrears
from cloud.ledger.arrears import AGES, CAUSES, CHANNELS
from cloud.notify import outbox, reminding
from cloud.requests import Reading, Writing
from cloud.web import cashier_queries as queries
from cloud.web.paging import MOST, Pager, offset_of
from cloud.web.permissions import BILLING
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE: Final = 50

ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Word = Annotated[str, Form(max_length=80)]


@router.get("/arrears")
def show_arrears(
    visit: ClerkVisit,
    connection: Reading,
    refused: Annotated[str, Query(max_length=10)] = "",
    page_number: Annotated[int, Query(alias="page", ge=1, le=MOST)] = 1,
) -> Response:
    """Show who owes something by age, who owes most first."""
    project = visit.person.project_id
    today = visit.today
    names = arrears.debtors(connection, project)
    found = arrears.arrears_of(connection, project, today=today, account_ids=names)
    offset = offset_of(page_number, PAGE)
    shown = found[offset : offset + PAGE]
    return page(
        visit,
        "arrears.html",
        found=shown,
        ages=AGES,
        sums=[sum(each.by_age_fen[place] for each in found) for place in range(len(AGES) + 1)],
        names=queries.accounts_of(connection, project, {each.account_id for each in shown}),
        messages=outbox.messages_of(connection, [each.account_id for each in shown]),
        sends={
            code
            for code in CHANNELS
            if reminding.via_of(visit.request.app.state.settings, project, code)
        },
        channels=CHANNELS,
        causes=CAUSES,
        refused=refused,
        pager=Pager("/arrears", {}, page_number, PAGE, len(found)),
    )


@router.post("/accounts/{account_id}/reminders", dependencies=[OwnSite])
def remind(
    visit: ClerkVisit,
    connection: Writing,
    account_id: str,
    channel: Word,
    cause: Word,
    note: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Record that a payer was reminded; by message or mail it is sent, too."""
    try:
        with connection.begin_nested():
            reminding.remind(
                connection,
                visit.teller,
                account_id,
                settings=visit.request.app.state.settings,
                channel=channel,
                cause=cause,
                note=note,
            )
    except NotFoundError:
        raise
    except RefusedError:
        return RedirectResponse("/arrears?refused=1", 303)
    return RedirectResponse("/arrears", 303)
