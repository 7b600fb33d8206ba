"""All SQL of meter events, and of the installs that they leave."""

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import Connection, delete, select
from sqlalchemy.engine import RowMapping

from cloud.metering.events import EventKind, MeterEvent, MeterParts, RunRule, Segment
from cloud.metering.tables import installs, meter_events


def events_of(connection: Connection, meter_point_id: str) -> list[MeterEvent]:
    """Return every event of a meter point, superseded ones too, as they were recorded."""
    query = (
        select(meter_events)
        .where(meter_events.c.meter_point_id == meter_point_id)
        .order_by(meter_events.c.id)
    )
    return [_event(row) for row in connection.execute(query).mappings()]


def add_event(
    connection: Connection, meter_point_id: str, event: MeterEvent, *, now_us: int
) -> int:
    """Put an event on record; return its id."""
    parts, multiplier = event.parts, event.multiplier
    values: dict[str, object] = {
        "meter_point_id": meter_point_id,
        "kind": event.kind.value,
        "at_us": event.at_us,
        "until_us": event.until_us,
        "before_count": event.before_count,
        "after_count": event.after_count,
        "rule": None if event.rule is None else event.rule.value,
        "recorded_by": event.by,
        "why": event.why,
        "recorded_us": now_us,
        "supersedes": event.supersedes,
    }
    if parts is not None:
        values |= {
            "meter_id": parts.meter_id,
            "exponent": parts.exponent,
            "capacity": parts.capacity,
            "max_per_hour": parts.max_per_hour,
            "device_id": parts.device_id,
            "point": parts.point,
        }
        multiplier = parts.multiplier
    values["multiplier"] = None if multiplier is None else f"{multiplier:f}"
    query = meter_events.insert().values(**values).returning(meter_events.c.id)
    return int(connection.execute(query).scalar_one())


def replace_installs(
    connection: Connection, meter_point_id: str, segments: Sequence[Segment]
) -> None:
    """Store what a meter point's events leave, in place of what they left before."""
    connection.execute(delete(installs).where(installs.c.meter_point_id == meter_point_id))
    rows = [
        {
            "meter_point_id": meter_point_id,
            "meter_id": segment.install.meter_id,
            "device_id": segment.device_id,
            "point": segment.point,
            "exponent": segment.install.exponent,
            "multiplier": f"{segment.install.multiplier:f}",
            "capacity": segment.install.capacity,
            "max_per_hour": segment.install.max_per_hour,
            "installed_at_us": segment.install.installed_at_us,
            "removed_at_us": segment.install.removed_at_us,
            "start_count": segment.install.start_count,
            "end_count": segment.install.end_count,
            "end_rolls_over": int(segment.install.end_rolls_over),
            "idle_from_us": segment.install.idle_from_us,
        }
        for segment in segments
    ]
    if rows:
        connection.execute(installs.insert(), rows)


def _event(row: RowMapping) -> MeterEvent:
    multiplier = None if row["multiplier"] is None else Decimal(row["multiplier"])
    parts = None
    if row["meter_id"] is not None:
        parts = MeterParts(
            meter_id=row["meter_id"],
            exponent=row["exponent"],
            multiplier=Decimal(1) if multiplier is None else multiplier,
            capacity=row["capacity"],
            max_per_hour=row["max_per_hour"],
            device_id=row["device_id"],
            point=row["point"],
        )
    return MeterEvent(
        id=row["id"],
        kind=EventKind(row["kind"]),
        at_us=row["at_us"],
        before_count=row["before_count"],
        after_count=row["after_count"],
        parts=parts,
        multiplier=None if parts is not None else multiplier,
        until_us=row["until_us"],
        rule=None if row["rule"] is None else RunRule(row["rule"]),
        by=row["recorded_by"],
        why=row["why"],
        supersedes=row["supersedes"],
    )
