"""What comes of an approved request for a discount, and what must hold before it is asked for."""

from collections.abc import Mapping
from datetime import date

from sqlalchemy import Connection

from cloud.billing.cycles import Days
from cloud.discounts import repository
from cloud.discounts.plans import Plan, check_days, plan_of
from cloud.discounts.repository import Assignment, HeldPlan
from cloud.errors import RefusedError

Subject = Mapping[str, object]


def check_plan(connection: Connection, project_id: str, subject: Subject) -> Plan:
    """Return the plan that is asked for; RefusedError where it may not be."""
    try:
        plan = plan_of(subject)
    except (KeyError, ValueError) as error:
        raise RefusedError(str(error)) from error
    if plan.code in repository.plans_of(connection, project_id):
        message = f"code: {plan.code}: there is such a plan: allowed is a new code"
        raise RefusedError(message)
    if metered := sorted(repository.metered_services(connection, project_id) & {*plan.items}):
        message = (
            f"items: {', '.join(metered)}: charged by meters, at a regulated price:"
            " allowed are charge items of the company such as property-fee"
        )
        raise RefusedError(message)
    return plan


def check_assignment(
    connection: Connection, project_id: str, account_id: str, subject: Subject
) -> tuple[HeldPlan, Days]:
    """Return the plan in effect and the days that an account is to have it; RefusedError."""
    held = _plan(connection, project_id, subject)
    try:
        days = _days(subject)
        check_days(days)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    if days.to_on <= held.days.from_on or days.from_on >= held.days.to_on:
        shown = "" if held.days.to_on == date.max else f" to {held.days.to_on}"
        message = f"from_on: {days.from_on}: allowed are days of the plan, {held.days.from_on}"
        raise RefusedError(message + shown)
    for other in repository.assignments_of(connection, project_id, [account_id]):
        if other.code != held.plan.code:
            continue
        if other.days.from_on < days.to_on and days.from_on < other.days.to_on:
            message = (
                f"account {account_id} has {other.code} from {other.days.from_on} on:"
                " allowed are other days"
            )
            raise RefusedError(message)
    return held, days


def check_end(
    connection: Connection, project_id: str, subject: Subject, *, today: date
) -> tuple[HeldPlan, Assignment | None, date]:
    """Return what is to end and when; RefusedError for a past day and for what ends earlier."""
    held = _plan(connection, project_id, subject)
    try:
        ends_on = date.fromisoformat(str(subject["ends_on"]))
    except (KeyError, ValueError) as error:
        message = f"ends_on: {subject.get('ends_on')!r}: allowed is a date such as 2026-07-01"
        raise RefusedError(message) from error
    only, days = None, held.days
    if subject.get("discount_id") is not None:
        wanted = int(str(subject["discount_id"]))
        every = repository.assignments_of(connection, project_id)
        only = next((each for each in every if each.id == wanted), None)
        if only is None or only.code != held.plan.code:
            message = f"discount_id: {wanted}: allowed is one of plan {held.plan.code}"
            raise RefusedError(message)
        days = only.days
    if ends_on < today or ends_on >= days.to_on:
        message = f"ends_on: {ends_on}: allowed is a day from {today} on, before it ends anyhow"
        raise RefusedError(message)
    return held, only, ends_on


def _plan(connection: Connection, project_id: str, subject: Subject) -> HeldPlan:
    code = str(subject.get("code"))
    held = repository.plans_of(connection, project_id)
    if code not in held:
        message = f"code: {code}: allowed are plans in effect: {', '.join(held) or 'none'}"
        raise RefusedError(message)
    return held[code]


def _days(subject: Subject) -> Days:
    to_on = subject.get("to_on")
    return Days(
        date.fromisoformat(str(subject["from_on"])),
        date.max if to_on is None else date.fromisoformat(str(to_on)),
    )
