"""Routes of the mirror, and its status as they and the command line tell it."""

import time
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from cloud.auth import Person
from cloud.mirror import repository
from cloud.mirror.schemas import MirrorOut
from cloud.mirror.service import lag_s
from cloud.requests import Reading, require
from protocols.delivery.records import instant

router = APIRouter(tags=["telemetry"])

Technician = Annotated[Person, Depends(require("manager", "maintenance", "integrator"))]


@router.get("/mirror")
def show_mirror(request: Request, _person: Technician, connection: Reading) -> MirrorOut:
    """Say how the mirror fares."""
    settings = request.app.state.settings
    return told(repository.status(connection), is_on=bool(settings.influx_url))


def told(status: repository.Status, *, is_on: bool) -> MirrorOut:
    """Return a status as it is told."""
    return MirrorOut(
        on=is_on,
        lag_s=round(lag_s(status, time.time_ns() // 1000), 1),
        queued=status.queued,
        undated=status.undated,
        batches=status.batches,
        lines=status.lines,
        sent_at=_instant(status.sent_us),
        failures=status.failures,
        failed_at=_instant(status.failed_us),
        reason=status.reason,
    )


def _instant(at_us: int | None) -> datetime | None:
    return None if at_us is None else instant(at_us)
