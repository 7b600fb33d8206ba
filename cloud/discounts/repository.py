"""All SQL of discounts: plans in effect, who has them, when they end."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select

from cloud.billing.cycles import Days
from cloud.billing.tables import charge_terms
from cloud.discounts.plans import REGULATED, Grant, Plan, plan_of, subject_of
from cloud.discounts.tables import assignments, ends, plans
from cloud.metering.tables import meter_points


@dataclass(frozen=True)
class HeldPlan:
    """A plan in effect; `ends_on` is the first day on which it no longer is, if it was ended."""

    plan: Plan
    request_id: int
    ends_on: date | None

    @property
    def days(self) -> Days:
        """Return the days on which it is in effect."""
        return self.plan.days._replace(to_on=min(self.plan.days.to_on, self.ends_on or date.max))


@dataclass(frozen=True)
class Assignment:
    """An account that has a plan, for days of its own."""

    id: int
    code: str
    account_id: str
    days: Days
    request_id: int


def plans_of(connection: Connection, project_id: str) -> dict[str, HeldPlan]:
    """Return the plans that were approved, by code."""
    query = select(plans).where(plans.c.project_id == project_id).order_by(plans.c.code)
    rows = connection.execute(query).all()
    ended = {code: day for (code, only), day in _ends(connection, project_id).items() if not only}
    return {
        row.code: HeldPlan(plan_of(json.loads(row.subject)), row.request_id, ended.get(row.code))
        for row in rows
    }


def assignments_of(
    connection: Connection, project_id: str, account_ids: Sequence[str] | None = None
) -> list[Assignment]:
    """Return who has a plan, by plan and account; days end where the assignment was ended."""
    query = select(assignments).where(assignments.c.project_id == project_id)
    if account_ids is not None:
        query = query.where(assignments.c.account_id.in_(account_ids))
    ordered = query.order_by(assignments.c.code, assignments.c.account_id, assignments.c.from_on)
    ended = _ends(connection, project_id)
    return [
        Assignment(
            row.id,
            row.code,
            row.account_id,
            Days(
                row.from_on,
                min(row.to_on or date.max, ended.get((row.code, row.id), date.max)),
            ),
            row.request_id,
        )
        for row in connection.execute(ordered)
    ]


def grants_of(
    connection: Connection, project_id: str, account_ids: Sequence[str]
) -> dict[str, list[Grant]]:
    """Return what accounts have, by account."""
    found: dict[str, list[Grant]] = {}
    held = plans_of(connection, project_id)
    for each in assignments_of(connection, project_id, account_ids) if held else ():
        plan = held[each.code]
        days = Days(
            max(each.days.from_on, plan.days.from_on), min(each.days.to_on, plan.days.to_on)
        )
        if days.from_on < days.to_on:
            grant = Grant(plan.plan, each.account_id, days, plan.request_id, each.request_id)
            found.setdefault(each.account_id, []).append(grant)
    return found


def add_plan(connection: Connection, project_id: str, plan: Plan, request_id: int) -> None:
    """Let a plan take effect."""
    subject = json.dumps(subject_of(plan), ensure_ascii=False, sort_keys=True)
    connection.execute(
        plans.insert().values(
            project_id=project_id, code=plan.code, subject=subject, request_id=request_id
        )
    )


def add_assignment(
    connection: Connection,
    project_id: str,
    account_id: str,
    *,
    code: str,
    days: Days,
    request_id: int,
) -> None:
    """Give a plan to an account."""
    connection.execute(
        assignments.insert().values(
            project_id=project_id,
            code=code,
            account_id=account_id,
            from_on=days.from_on,
            to_on=None if days.to_on == date.max else days.to_on,
            request_id=request_id,
        )
    )


def add_end(
    connection: Connection,
    project_id: str,
    *,
    code: str,
    discount_id: int | None,
    ends_on: date,
    request_id: int,
) -> None:
    """End a plan, or one assignment of it."""
    connection.execute(
        ends.insert().values(
            project_id=project_id,
            code=code,
            discount_id=discount_id,
            ends_on=ends_on,
            request_id=request_id,
        )
    )


def metered_services(connection: Connection, project_id: str) -> set[str]:
    """Return the services that a project has meters of."""
    query = select(meter_points.c.service).where(meter_points.c.project_id == project_id)
    return set(connection.scalars(query.distinct()))


def items_of(connection: Connection, project_id: str) -> list[str]:
    """Return the charge items that recur in a project and may be lowered."""
    query = select(charge_terms.c.item).where(charge_terms.c.project_id == project_id).distinct()
    taken = REGULATED | metered_services(connection, project_id)
    return sorted(set(connection.scalars(query)) - taken)


def _ends(connection: Connection, project_id: str) -> dict[tuple[str, int | None], date]:
    found: dict[tuple[str, int | None], date] = {}
    query = select(ends).where(ends.c.project_id == project_id)
    for row in connection.execute(query):
        key = row.code, row.discount_id
        found[key] = min(row.ends_on, found.get(key, date.max))
    return found
