"""Routes of logins, gateways, devices and channels."""

from fastapi import APIRouter
from sqlalchemy import select

from cloud import auth
from cloud.ingest.clock_repository import waiting_readings
from cloud.paging import Cursor, Limit, Page, page
from cloud.requests import Database, Reading, Staff
from cloud.sites.schemas import ChannelOut, Credentials, DeviceOut, GatewayOut, Token
from cloud.sites.tables import channels, devices, gateways
from cloud.telemetry.tables import latest
from protocols.delivery.records import decimal_text, instant

router = APIRouter(tags=["sites"])


@router.post("/tokens")
def create_token(credentials: Credentials, engine: Database) -> Token:
    """Log in; the token goes into `Authorization: Bearer`."""
    token = auth.log_in(engine, credentials.username, credentials.password)
    return Token(access_token=token)


@router.get("/gateways")
def list_gateways(
    person: Staff, connection: Reading, after: Cursor = "", limit: Limit = 100
) -> Page[GatewayOut]:
    """List the gateways of your project."""
    waiting = waiting_readings(connection)
    query = (
        select(gateways)
        .where(gateways.c.project_id == person.project_id, gateways.c.id > after)
        .order_by(gateways.c.id)
        .limit(limit + 1)
    )
    found = [
        GatewayOut(
            id=row.id,
            name=row.name,
            firmware=row.firmware,
            last_seen_at=None if row.last_seen_us is None else instant(row.last_seen_us),
            backlog=row.backlog,
            waiting_for_the_time=waiting.get(row.id, 0),
        )
        for row in connection.execute(query)
    ]
    return page(found, limit, "id")


@router.get("/devices")
def list_devices(
    person: Staff, connection: Reading, after: Cursor = "", limit: Limit = 100
) -> Page[DeviceOut]:
    """List the devices of your project."""
    query = (
        select(devices)
        .where(devices.c.project_id == person.project_id, devices.c.id > after)
        .order_by(devices.c.id)
        .limit(limit + 1)
    )
    found = [
        DeviceOut(
            id=row.id,
            name=row.name,
            name_en=row.name_en,
            medium=row.medium,
            profile=row.profile,
            gateway=row.gateway_id,
            building=row.building_id,
            premise=row.premise_id,
        )
        for row in connection.execute(query)
    ]
    return page(found, limit, "id")


@router.get("/channels")
def list_channels(
    person: Staff, connection: Reading, after: int = 0, limit: Limit = 100
) -> Page[ChannelOut]:
    """List the channels of your project with their newest readings."""
    query = (
        select(channels, latest.c.read_at_us, latest.c["count"], latest.c.quality)
        .join(devices, devices.c.id == channels.c.device_id)
        .join(latest, latest.c.channel_id == channels.c.id, isouter=True)
        .where(devices.c.project_id == person.project_id, channels.c.id > after)
        .order_by(channels.c.id)
        .limit(limit + 1)
    )
    found = [
        ChannelOut(
            id=row["id"],
            device=row["device_id"],
            point=row["point"],
            uom=row["uom"],
            value=decimal_text(row["count"], row["exponent"]),
            quality=row["quality"],
            read_at=None if row["read_at_us"] is None else instant(row["read_at_us"]),
        )
        for row in connection.execute(query).mappings()
    ]
    return page(found, limit, "id")
