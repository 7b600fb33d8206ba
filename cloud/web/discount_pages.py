"""Discounts 优惠: plans in effect and who has them, and forms to ask for more."""

from collections.abc import Callable
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from cloud.billing.cycles import Days
from cloud.discounts import repository, service
from cloud.discounts.plans import By, Plan, check_item, value_of
from cloud.errors import CloudError, NotFoundError
from cloud.money import yuan_to_fen
from cloud.requests import Reading, Writing
from cloud.web import cashier_queries as queries
from cloud.web.permissions import BILLING
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Word = Annotated[str, Form(max_length=80)]
Text = Annotated[str, Form(max_length=500)]
Day = Annotated[str, Form(max_length=10)]


@router.get("/discounts")
def show_discounts(
    visit: ClerkVisit,
    connection: Reading,
    refused: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """Show the plans in effect with who has them, and a form to ask for a new one."""
    project = visit.person.project_id
    held = repository.assignments_of(connection, project)
    return page(
        visit,
        "discounts.html",
        plans=repository.plans_of(connection, project).values(),
        held=held,
        names=queries.accounts_of(connection, project, {each.account_id for each in held}),
        items=repository.items_of(connection, project),
        open_end=date.max,
        today=visit.today,
        refused=refused,
    )


@router.post("/discounts", dependencies=[OwnSite])
def ask_plan(
    visit: ClerkVisit,
    connection: Writing,
    code: Word,
    name: Word,
    name_en: Word,
    by: Word,
    value: Word,
    at_least_months: Annotated[int, Form()],
    from_on: Day,
    reason: Text,
    items: Annotated[list[str], Form(max_length=20)] = [],  # noqa: B006 - FastAPI copies it
    cap: Word = "",
    to_on: Day = "",
) -> Response:
    """Ask for a plan."""

    def plan() -> Plan:
        return Plan(
            code.strip(),
            name.strip(),
            name_en.strip(),
            tuple(items),
            By(by),
            value_of(value.strip()),
            at_least_months,
            yuan_to_fen(cap.strip()) if cap.strip() else None,
            _days(from_on, to_on),
            reason.strip(),
        )

    why = "regulated" if _is_regulated(items) else "1"
    return _asked(
        connection, lambda: service.ask_plan(connection, visit.teller, plan()), refused=why
    )


@router.post("/discounts/{code}/ends", dependencies=[OwnSite])
def ask_end(
    visit: ClerkVisit,
    connection: Writing,
    code: str,
    ends_on: Day,
    reason: Text,
    account: Word = "",
    discount: Annotated[int | None, Form()] = None,
) -> Response:
    """Ask for the end of a plan, or of one account's."""
    return _asked(
        connection,
        lambda: service.ask_end(
            connection,
            visit.teller,
            account or None,
            code=code,
            discount_id=discount,
            ends_on=date.fromisoformat(ends_on),
            reason=reason,
        ),
    )


@router.post("/accounts/{account_id}/discounts", dependencies=[OwnSite])
def ask_discount(
    visit: ClerkVisit,
    connection: Writing,
    account_id: str,
    code: Word,
    from_on: Day,
    reason: Text,
    to_on: Day = "",
) -> Response:
    """Ask that an account has a plan."""
    return _asked(
        connection,
        lambda: service.ask_discount(
            connection,
            visit.teller,
            account_id,
            code=code,
            days=_days(from_on, to_on),
            reason=reason,
        ),
        back=f"/accounts/{account_id}",
    )


def _asked(
    connection: Connection,
    ask: Callable[[], object],
    *,
    back: str = "/discounts",
    refused: str = "1",
) -> Response:
    try:
        with connection.begin_nested():
            ask()
    except NotFoundError:
        raise
    except (CloudError, ValueError):
        return RedirectResponse(f"{back}?refused={refused}", 303)
    return RedirectResponse("/approvals", 303)


def _days(from_on: str, to_on: str) -> Days:
    last = date.fromisoformat(to_on) if to_on else date.max
    return Days(date.fromisoformat(from_on), last)


def _is_regulated(items: list[str]) -> bool:
    try:
        for item in items:
            check_item(item)
    except ValueError:
        return True
    return False
