"""Routes of discounts: what is in effect, and asking for more; approvals decide."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends

from cloud.auth import Person
from cloud.billing.cycles import Days
from cloud.discounts import repository, service
from cloud.discounts.plans import Plan, value_of
from cloud.discounts.schemas import DiscountIn, DiscountOut, EndIn, PlanIn, PlanOut
from cloud.errors import RefusedError
from cloud.ledger.endpoints import approval_out
from cloud.ledger.schemas import ApprovalOut
from cloud.money import fen_to_yuan
from cloud.requests import Reading, Writing, require, teller_of

router = APIRouter(tags=["discounts"])

Clerk = Annotated[Person, Depends(require("manager", "clerk"))]


@router.get("/discount-plans")
def list_plans(person: Clerk, connection: Reading) -> list[PlanOut]:
    """List the plans that were approved, by code."""
    return [
        PlanOut(
            code=each.plan.code,
            name=each.plan.name,
            name_en=each.plan.name_en,
            items=list(each.plan.items),
            by=each.plan.by,
            value=f"{each.plan.value:f}",
            at_least_months=each.plan.at_least_months,
            cap=None if each.plan.cap_fen is None else fen_to_yuan(each.plan.cap_fen),
            from_on=each.days.from_on,
            to_on=_end(each.days),
            reason=each.plan.reason,
            request=each.request_id,
        )
        for each in repository.plans_of(connection, person.project_id).values()
    ]


@router.post("/discount-plans", status_code=201)
def ask_plan(wanted: PlanIn, person: Clerk, connection: Writing) -> ApprovalOut:
    """Ask for a plan: it takes effect when others have granted every step."""
    try:
        plan = Plan(
            wanted.code,
            wanted.name,
            wanted.name_en,
            tuple(wanted.items),
            wanted.by,
            value_of(wanted.value),
            wanted.at_least_months,
            wanted.cap,
            Days(wanted.from_on, wanted.to_on or date.max),
            wanted.reason,
        )
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return approval_out(service.ask_plan(connection, teller_of(person), plan))


@router.post("/discount-plans/{code}/ends", status_code=201)
def ask_end(code: str, wanted: EndIn, person: Clerk, connection: Writing) -> ApprovalOut:
    """Ask for the end of a plan or of one account's; what is posted stays."""
    made = service.ask_end(
        connection,
        teller_of(person),
        wanted.account,
        code=code,
        discount_id=wanted.discount,
        ends_on=wanted.ends_on,
        reason=wanted.reason,
    )
    return approval_out(made)


@router.get("/accounts/{account_id}/discounts")
def list_discounts(account_id: str, person: Clerk, connection: Reading) -> list[DiscountOut]:
    """List the plans that an account has or had."""
    return [
        DiscountOut(
            id=each.id,
            code=each.code,
            account=each.account_id,
            from_on=each.days.from_on,
            to_on=_end(each.days),
            request=each.request_id,
        )
        for each in repository.assignments_of(connection, person.project_id, [account_id])
    ]


@router.post("/accounts/{account_id}/discounts", status_code=201)
def ask_discount(
    account_id: str, wanted: DiscountIn, person: Clerk, connection: Writing
) -> ApprovalOut:
    """Ask that an account has a plan for some days."""
    made = service.ask_discount(
        connection,
        teller_of(person),
        account_id,
        code=wanted.code,
        days=Days(wanted.from_on, wanted.to_on or date.max),
        reason=wanted.reason,
    )
    return approval_out(made)


def _end(days: Days) -> date | None:
    return None if days.to_on == date.max else days.to_on
