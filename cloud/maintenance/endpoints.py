"""Routes of work orders."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends

from cloud.auth import Person
from cloud.maintenance import repository, service
from cloud.maintenance.orders import Order, Step
from cloud.maintenance.schemas import MoveIn, OrderOut, OrderWithSteps, StepOut
from cloud.paging import Limit, Page, page
from cloud.requests import Reading, Staff, Writing, require
from protocols.delivery.records import instant

router = APIRouter(tags=["maintenance"])

Repairer = Annotated[Person, Depends(require("manager", "maintenance"))]


@router.get("/work-orders")
def list_orders(
    person: Staff,
    connection: Reading,
    *,
    open: bool | None = None,  # noqa: A002 - the query's name
    after: int = 0,
    limit: Limit = 100,
) -> Page[OrderOut]:
    """List the work orders of your project, newest first; `after` is an id."""
    found = repository.orders_of(
        connection, person.project_id, is_open=open, before=after, limit=limit + 1
    )
    return page([_order(order) for order in found], limit, "id")


@router.get("/work-orders/{order_id}")
def get_order(order_id: int, person: Staff, connection: Reading) -> OrderWithSteps:
    """Give a work order with all its steps."""
    order = repository.order(connection, person.project_id, order_id)
    steps = repository.steps_of(connection, [order_id])[order_id]
    return OrderWithSteps(**_order(order).model_dump(), steps=[_step(step) for step in steps])


@router.post("/work-orders/{order_id}/moves", status_code=201)
def move_order(order_id: int, wanted: MoveIn, person: Repairer, connection: Writing) -> OrderOut:
    """Move a work order on; what is allowed depends on its state and your role."""
    order = service.move(
        connection,
        person,
        order_id,
        after=wanted.state,
        assignee=wanted.assignee,
        note=wanted.note,
        at_us=time.time_ns() // 1000,
    )
    return _order(order)


def _order(order: Order) -> OrderOut:
    return OrderOut(
        id=order.id,
        kind=order.kind,
        title=order.title,
        title_en=order.title_en,
        meter_point=order.meter_point_id,
        pool=order.pool_id,
        state=order.state,
        assignee=order.assignee,
        note=order.note,
        opened_by=order.opened_by,
        opened_at=instant(order.opened_us),
    )


def _step(step: Step) -> StepOut:
    return StepOut(
        before=step.before,
        after=step.after,
        assignee=step.assignee,
        note=step.note,
        moved_by=step.moved_by,
        moved_at=instant(step.moved_us),
    )
