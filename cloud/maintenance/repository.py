"""All SQL of work orders 工单."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from cloud.billing.tables import pools
from cloud.database import insert_new
from cloud.errors import NotFoundError
from cloud.maintenance.orders import Order, State, Step, Subject
from cloud.maintenance.tables import work_order_steps, work_orders
from cloud.metering.tables import meter_points
from cloud.sites.tables import users


def open_orders(
    connection: Connection, project_id: str, subjects: Sequence[Subject], *, by: str, at_us: int
) -> None:
    """Open a work order for each subject whose source opened none yet."""
    rows = [
        {
            "project_id": project_id,
            "kind": each.kind,
            "source": each.source,
            "title": each.title,
            "title_en": each.title_en,
            "meter_point_id": each.meter_point_id,
            "pool_id": each.pool_id,
            "state": State.ACCEPTED,
            "assignee": "",
            "note": each.note,
            "opened_by": by,
            "opened_us": at_us,
        }
        for each in subjects
    ]
    insert_new(connection, work_orders, rows)


def orders_of(
    connection: Connection,
    project_id: str,
    *,
    is_open: bool | None = None,
    before: int = 0,
    limit: int | None = None,
) -> list[Order]:
    """Return work orders of a project, the newest first; `before` is an id."""
    query = _named().where(work_orders.c.project_id == project_id)
    if is_open is not None:
        query = query.where((work_orders.c.state != State.CLOSED) == is_open)
    if before:
        query = query.where(work_orders.c.id < before)
    query = query.order_by(work_orders.c.id.desc()).limit(limit)
    return [_order(row) for row in connection.execute(query)]


def order(connection: Connection, project_id: str, order_id: int, *, lock: bool = False) -> Order:
    """Return a work order, locked against other moves if asked; NotFoundError."""
    query = _named().where(work_orders.c.project_id == project_id, work_orders.c.id == order_id)
    locked = query.with_for_update(of=work_orders) if lock else query
    row = connection.execute(locked).one_or_none()
    if row is None:
        message = f"work order {order_id} is unknown"
        raise NotFoundError(message)
    return _order(row)


def steps_of(connection: Connection, order_ids: Sequence[int]) -> dict[int, list[Step]]:
    """Return the steps of work orders, in order."""
    query = (
        select(work_order_steps)
        .where(work_order_steps.c.order_id.in_(order_ids))
        .order_by(work_order_steps.c.order_id, work_order_steps.c.number)
    )
    found: dict[int, list[Step]] = {name: [] for name in order_ids}
    for row in connection.execute(query):
        found[row.order_id].append(
            Step(
                row.number,
                State(row.before),
                State(row.after),
                row.assignee,
                row.note,
                row.moved_by,
                row.moved_us,
            )
        )
    return found


def add_step(connection: Connection, order_id: int, step: Step) -> None:
    """Keep a step and let the order stand where it leads."""
    connection.execute(
        work_order_steps.insert().values(
            order_id=order_id,
            number=step.number,
            before=step.before,
            after=step.after,
            assignee=step.assignee,
            note=step.note,
            moved_by=step.moved_by,
            moved_us=step.moved_us,
        )
    )
    connection.execute(
        work_orders.update()
        .where(work_orders.c.id == order_id)
        .values(state=step.after, assignee=step.assignee)
    )


def count_steps(connection: Connection, order_id: int) -> int:
    """Return how many steps a work order has."""
    query = select(func.count()).where(work_order_steps.c.order_id == order_id)
    return int(connection.execute(query).scalar_one())


def repairers_of(connection: Connection, project_id: str) -> dict[str, str]:
    """Return who may be given a work order: name by user name."""
    query = (
        select(users.c.username, users.c.name)
        .where(
            users.c.project_id == project_id,
            users.c.role.in_(("maintenance", "manager")),
            users.c.active,
        )
        .order_by(users.c.role, users.c.username)
    )
    return {row.username: row.name for row in connection.execute(query)}


def _named() -> Select[Any]:
    names = meter_points.c.name.label("meter_name"), pools.c.name.label("pool_name")
    return (
        select(work_orders, *names, pools.c.name_en.label("pool_name_en"))
        .outerjoin(meter_points, meter_points.c.id == work_orders.c.meter_point_id)
        .outerjoin(pools, pools.c.id == work_orders.c.pool_id)
    )


def _order(row: Row[Any]) -> Order:
    return Order(
        row.id,
        row.kind,
        row.title,
        row.title_en,
        row.meter_point_id,
        row.pool_id,
        State(row.state),
        row.assignee,
        row.note,
        row.opened_by,
        row.opened_us,
        row.meter_name or "",
        row.pool_name or "",
        row.pool_name_en or "",
    )
