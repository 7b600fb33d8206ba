"""What the API says of alerts."""

from datetime import datetime

from pydantic import BaseModel


class AlertOut(BaseModel):
    """An alert; `detail` holds the numbers of its message."""

    id: int
    kind: str
    severity: str
    rule: str | None
    gateway: str | None
    device: str | None
    detail: dict[str, str | int | None]
    raised_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    cleared_at: datetime | None
