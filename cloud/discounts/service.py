"""Asking for discounts: a plan, an account that has it, its end; others approve each."""

from datetime import date

from sqlalchemy import Connection

from cloud.billing.cycles import Days
from cloud.discounts.plans import Plan, subject_of
from cloud.ledger import approvals
from cloud.ledger.approvals import Ask, Request
from cloud.ledger.service import Teller


def ask_plan(connection: Connection, teller: Teller, plan: Plan) -> Request:
    """Ask for a plan; RefusedError for one of a regulated price, or a code that is taken."""
    subject = subject_of(plan)
    return approvals.ask(
        connection, teller, None, kind=Ask.PLAN, subject=subject, reason=plan.reason
    )


def ask_discount(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    code: str,
    days: Days,
    reason: str,
) -> Request:
    """Ask that an account has a plan for some days; RefusedError."""
    to_on = None if days.to_on == date.max else days.to_on.isoformat()
    return approvals.ask(
        connection,
        teller,
        account_id,
        kind=Ask.DISCOUNT,
        subject={"code": code, "from_on": days.from_on.isoformat(), "to_on": to_on},
        reason=reason,
    )


def ask_end(
    connection: Connection,
    teller: Teller,
    account_id: str | None,
    *,
    code: str,
    discount_id: int | None,
    ends_on: date,
    reason: str,
) -> Request:
    """Ask that a plan, or one assignment of it, ends on a day to come; what is posted stays."""
    return approvals.ask(
        connection,
        teller,
        account_id,
        kind=Ask.DISCOUNT_END,
        subject={"code": code, "discount_id": discount_id, "ends_on": ends_on.isoformat()},
        reason=reason,
    )
