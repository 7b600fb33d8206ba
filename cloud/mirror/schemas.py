"""What the API says of the mirror."""

from datetime import datetime

from pydantic import BaseModel


class MirrorOut(BaseModel):
    """How the mirror fares; `undated` batches wait until their boot's time is known."""

    on: bool
    lag_s: float
    queued: int
    undated: int
    batches: int
    lines: int
    sent_at: datetime | None
    failures: int
    failed_at: datetime | None
    reason: str
