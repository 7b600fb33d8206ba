"""What the API says of readings."""

from datetime import datetime

from pydantic import BaseModel


class ReadingOut(BaseModel):
    """One reading, or the last of one hour; the value is a decimal string."""

    read_at: datetime
    value: str | None
    quality: int


class ReadingsOut(BaseModel):
    """Readings of a channel in [from, to)."""

    channel: int
    device: str
    point: str
    uom: str
    readings: list[ReadingOut]
