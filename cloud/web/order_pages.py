"""Work orders 工单: the open ones first, each with its way so far and the ways on."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Response
from fastapi.responses import RedirectResponse

from cloud.errors import RefusedError
from cloud.maintenance import repository, service
from cloud.maintenance.orders import moves_of
from cloud.requests import Reading, Writing
from cloud.web.permissions import ORDERS
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# closed ones are looked up by the API; the page shows the last of them
_CLOSED: Final = 20

OrderVisit = Annotated[Visit, Depends(visit_of(*ORDERS))]


@router.get("/work-orders")
def show_orders(
    visit: OrderVisit,
    connection: Reading,
    refused: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """Show the open work orders, and those closed last."""
    project = visit.person.project_id
    found = repository.orders_of(connection, project, is_open=True)
    closed = repository.orders_of(connection, project, is_open=False, limit=_CLOSED)
    every = [order.id for order in (*found, *closed)]
    return page(
        visit,
        "orders.html",
        found=found,
        closed=closed,
        steps=repository.steps_of(connection, every),
        moves={order.id: moves_of(order.state, visit.person.role) for order in found},
        repairers=repository.repairers_of(connection, project),
        refused=refused,
    )


@router.post("/work-orders/{order_id}/moves", dependencies=[OwnSite])
def move(
    order_id: int,
    visit: OrderVisit,
    connection: Writing,
    state: Annotated[str, Form(max_length=20)],
    assignee: Annotated[str, Form(max_length=64)] = "",
    note: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Move a work order on, and go back."""
    try:
        service.move(
            connection,
            visit.person,
            order_id,
            after=state,
            assignee=assignee,
            note=note,
            at_us=visit.now_us,
        )
    except RefusedError:
        return RedirectResponse("/work-orders?refused=1", 303)
    return RedirectResponse(f"/work-orders#order-{order_id}", 303)
