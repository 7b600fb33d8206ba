"""All pages on one router, and what an application needs to carry them."""

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

from cloud.requests import Visitor
from cloud.web import (
    account_pages,
    alert_pages,
    arrears_pages,
    assets,
    bill_pages,
    cashier_pages,
    command_pages,
    device_pages,
    discount_pages,
    login_pages,
    order_pages,
    overview_pages,
    payment_pages,
    print_pages,
    quarantine_pages,
    read_import_pages,
    report_pages,
    round_pages,
    run_pages,
)
from cloud.web.live import Broadcaster
from cloud.web.permissions import LOAD
from cloud.web.route import install_error_pages

router = APIRouter(include_in_schema=False)

for part in (
    overview_pages,
    device_pages,
    alert_pages,
    order_pages,
    command_pages,
    bill_pages,
    run_pages,
    # its paths begin as those of a round do
    read_import_pages,
    round_pages,
    cashier_pages,
    account_pages,
    payment_pages,
    discount_pages,
    arrears_pages,
    print_pages,
    report_pages,
    quarantine_pages,
    login_pages,
    assets,
):
    router.include_router(part.router)


@router.get("/events")
async def stream_changes(request: Request, person: Visitor) -> StreamingResponse:
    """Stream what changes on the site to its staff; who may not see loads gets states only."""
    if person is None or not person.is_staff:
        raise HTTPException(401 if person is None else 403)
    broadcaster: Broadcaster = request.app.state.broadcaster
    events = broadcaster.watch(person.project_id, sees_homes=person.role in LOAD)
    return StreamingResponse(
        events,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def install(app: FastAPI) -> None:
    """Mount pages, live stream and error pages; needs engine and settings in app.state."""
    app.state.broadcaster = Broadcaster(app.state.engine)
    app.include_router(router)
    install_error_pages(app)
