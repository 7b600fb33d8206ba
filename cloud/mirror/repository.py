"""All SQL of the mirror's queue and of how it fares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select, update

from cloud.database import insert_new
from cloud.ingest.clock_tables import undated_batches
from cloud.ingest.repository import Delivered
from cloud.ingest.tables import batches
from cloud.mirror.tables import mirror_queue as queue
from cloud.mirror.tables import mirror_state as state
from cloud.sites.tables import channels, gateways

# device, point, uom, exponent: what a gateway's channel is called on the wire
ChannelName = tuple[str, str, str, int]

# so long a server may keep in its memory alone what it took
GRACE_US: Final = 60_000_000


@dataclass(frozen=True)
class Queued:
    """A batch to be sent; `waiting` is of how many boots its readings have no time now."""

    id: int
    gateway_id: str
    batch_id: bytes
    payload: bytes
    waiting: int


@dataclass(frozen=True)
class Status:
    """How the mirror fares: `oldest_us` is when the oldest batch came that can go out."""

    queued: int
    undated: int
    oldest_us: int | None
    batches: int = 0
    lines: int = 0
    sent_us: int | None = None
    failures: int = 0
    failed_us: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Channel:
    """A channel and the project that it is of."""

    id: int
    project_id: str
    gateway_id: str
    device_id: str
    point: str
    uom: str
    exponent: int


# a batch can go out anew when more of its boots have a time than when it was looked at
_UNDATED = (
    select(func.count())
    .select_from(undated_batches)
    .where(undated_batches.c.batch_id == queue.c.batch_id)
    .scalar_subquery()
)
_IS_DUE = queue.c.sent_us.is_(None) & ((queue.c.waiting == 0) | (queue.c.waiting > _UNDATED))
_IS_UNDATED = queue.c.sent_us.is_(None) & (queue.c.waiting > 0) & (queue.c.waiting <= _UNDATED)


def hand_over(connection: Connection, taken: Sequence[Delivered]) -> None:
    """Put batches that are taken out of the outbox into the mirror's queue."""
    if taken:
        rows = [{"gateway_id": item.gateway_id, "batch_id": item.batch_id} for item in taken]
        connection.execute(queue.insert(), rows)


def due(connection: Connection, limit: int) -> list[Queued]:
    """Return the oldest batches that can go out."""
    query = (
        select(queue.c.id, queue.c.gateway_id, queue.c.batch_id, batches.c.payload, _UNDATED)
        .join(batches, batches.c.batch_id == queue.c.batch_id)
        .where(_IS_DUE)
        .order_by(queue.c.id)
        .limit(limit)
    )
    return [Queued(*row) for row in connection.execute(query)]


def settle(connection: Connection, sent: Sequence[Queued], *, lines: int, now_us: int) -> None:
    """Note what was sent, but for what has readings without a time; forget what long was."""
    whole = [item.id for item in sent if not item.waiting]
    connection.execute(delete(queue).where(queue.c.sent_us < now_us - GRACE_US))
    connection.execute(update(queue).where(queue.c.id.in_(whole)).values(sent_us=now_us))
    held = [{"of": item.id, "left": item.waiting} for item in sent if item.waiting]
    if held:
        kept = update(queue).where(queue.c.id == bindparam("of"))
        connection.execute(kept.values(waiting=bindparam("left")), held)
    _begin(connection)
    connection.execute(
        update(state).values(
            batches=state.c.batches + len(sent),
            lines=state.c.lines + lines,
            sent_us=now_us,
            reason="",
        )
    )


def note_failure(connection: Connection, reason: str, now_us: int) -> None:
    """Remember when and why the server did not take what was sent; what it took last is due again.

    It may have been killed, and then has forgotten that.
    """
    connection.execute(update(queue).where(queue.c.sent_us.is_not(None)).values(sent_us=None))
    _begin(connection)
    connection.execute(
        update(state).values(failures=state.c.failures + 1, failed_us=now_us, reason=reason)
    )


def status(connection: Connection) -> Status:
    """Return how the mirror fares."""
    oldest = (
        select(func.min(batches.c.received_us), func.count())
        .select_from(queue)
        .join(batches, batches.c.batch_id == queue.c.batch_id)
        .where(_IS_DUE)
    )
    oldest_us, queued = connection.execute(oldest).one()
    undated = connection.scalar(select(func.count()).select_from(queue).where(_IS_UNDATED)) or 0
    row = connection.execute(select(state)).one_or_none()
    if row is None:
        return Status(queued, undated, oldest_us)
    return Status(
        queued,
        undated,
        oldest_us,
        row.batches,
        row.lines,
        row.sent_us,
        row.failures,
        row.failed_us,
        row.reason,
    )


def projects_of(connection: Connection) -> Mapping[str, str]:
    """Return the project of each gateway."""
    query = select(gateways.c.id, gateways.c.project_id)
    return {row.id: row.project_id for row in connection.execute(query)}


def channel_ids(connection: Connection, gateway_id: str) -> Mapping[ChannelName, int]:
    """Return the channels of a gateway that there are."""
    rows = connection.execute(select(channels).where(channels.c.gateway_id == gateway_id))
    return {(row.device_id, row.point, row.uom, row.exponent): row.id for row in rows}


def every_channel(connection: Connection) -> list[Channel]:
    """Return all channels of gateways on file."""
    query = (
        select(
            channels.c.id,
            gateways.c.project_id,
            channels.c.gateway_id,
            channels.c.device_id,
            channels.c.point,
            channels.c.uom,
            channels.c.exponent,
        )
        .join(gateways, gateways.c.id == channels.c.gateway_id)
        .order_by(channels.c.id)
    )
    return [Channel(*row) for row in connection.execute(query)]


def _begin(connection: Connection) -> None:
    row = {"id": 1, "batches": 0, "lines": 0, "failures": 0, "reason": ""}
    insert_new(connection, state, [row])
