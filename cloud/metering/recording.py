"""What happens at a meter point put on record, and the installs that follow from it."""

import time

from sqlalchemy import Connection

from cloud.metering import edits, repository
from cloud.metering import event_repository as events
from cloud.metering.events import MeterEvent, check_new


def record(connection: Connection, meter_point_id: str, event: MeterEvent) -> int:
    """Record an event and work out the installs anew; return its id. EventError refuses it.

    An event is never changed: one that `supersedes` another takes its place, `void` takes it
    away. Reads from then on are screened again.
    """
    repository.lock_meter_points(connection, [meter_point_id])
    held = events.events_of(connection, meter_point_id)
    segments = check_new(held, event)
    made = events.add_event(connection, meter_point_id, event, now_us=time.time_ns() // 1000)
    events.replace_installs(connection, meter_point_id, segments)
    corrected = [old.at_us for old in held if old.id == event.supersedes]
    if held:
        edits.forget_from(connection, meter_point_id, min([event.at_us, *corrected]))
    return made
