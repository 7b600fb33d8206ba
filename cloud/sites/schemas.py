"""What the API says of sites."""

from datetime import datetime

from pydantic import BaseModel


class Credentials(BaseModel):
    """A login."""

    username: str
    password: str


class Token(BaseModel):
    """A bearer token."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the kind of token, not one


class GatewayOut(BaseModel):
    """A gateway and when it was last heard; readings without a time wait, and are not lost."""

    id: str
    name: str
    firmware: str | None
    last_seen_at: datetime | None
    backlog: int
    waiting_for_the_time: int


class DeviceOut(BaseModel):
    """An installed device."""

    id: str
    name: str
    name_en: str
    medium: str
    profile: str
    gateway: str
    building: str | None
    premise: str | None


class ChannelOut(BaseModel):
    """A channel and its newest reading; the value is a decimal string."""

    id: int
    device: str
    point: str
    uom: str
    value: str | None
    quality: int | None
    read_at: datetime | None
