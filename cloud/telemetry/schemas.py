"""What the API says of readings."""

from datetime import datetime

from pydantic import BaseModel


class ReadingOut(BaseModel):
    """One reading, or the last of one hour; the value is a decimal string."""

    read_at: datetime
    value: str | None
    quality: int
    quality_name: str


class ReadingsOut(BaseModel):
    """Readings of a channel in [from, to); of its gateway so many more wait for the time."""

    channel: int
    device: str
    point: str
    uom: str
    waiting_for_the_time: int
    readings: list[ReadingOut]
