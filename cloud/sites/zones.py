"""The local time of projects: its midnights bound billing days and pages."""

from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud.errors import NotFoundError
from cloud.sites.tables import projects
from protocols.delivery.records import instant


def zone_of(connection: Connection, project_id: str) -> ZoneInfo:
    """Return a project's time zone; NotFoundError."""
    name = connection.scalar(select(projects.c.time_zone).where(projects.c.id == project_id))
    if name is None:
        message = f"project {project_id!r} is unknown"
        raise NotFoundError(message)
    return ZoneInfo(name)


def local_day(connection: Connection, project_id: str, at_us: int) -> date:
    """Return the local day of an instant in a project; NotFoundError."""
    return instant(at_us).astimezone(zone_of(connection, project_id)).date()
