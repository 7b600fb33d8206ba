"""Quarantine: what could not be stored, kept as it came until somebody replays or discards it."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, Select, func, select

from cloud.errors import NotFoundError, RefusedError
from cloud.ingest import repository
from cloud.ingest.limits import good_rows
from cloud.ingest.quarantine_tables import quarantine_decisions as decisions
from cloud.ingest.tables import outbox, quarantine
from cloud.sites.tables import gateways
from cloud.telemetry import repository as telemetry
from protocols.delivery import batch, envelope
from protocols.delivery.records import Event, Reading
from protocols.errors import WireError

REPLAYED = "replayed"
DISCARDED = "discarded"


@dataclass(frozen=True)
class Item:
    """Something in quarantine, and what was decided of it (None while nothing is)."""

    id: int
    gateway_id: str
    lane: int
    batch_id: bytes
    reason: str
    size: int
    received_us: int
    decision: str | None
    decided_by: str | None
    decided_us: int | None
    note: str | None


@dataclass(frozen=True)
class Contents:
    """What the bytes say now: their records, or why they are no batch."""

    body: bytes
    readings: tuple[Reading, ...]
    events: tuple[Event, ...]
    problem: str


def items(
    connection: Connection,
    *,
    project_id: str | None = None,
    open_only: bool = False,
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[Item], int]:
    """Return what is in quarantine, undecided first and newest first, and how much there is."""
    query = _items(project_id)
    if open_only:
        query = query.where(decisions.c.decision.is_(None))
    total = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(decisions.c.decision.is_not(None), quarantine.c.id.desc())
    rows = connection.execute(ordered.offset(offset).limit(limit)).mappings()
    return [_item(row) for row in rows], total


def item(connection: Connection, number: int, project_id: str | None = None) -> Item:
    """Return one thing in quarantine; NotFoundError."""
    query = _items(project_id).where(quarantine.c.id == number)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        message = f"quarantine has no number {number}"
        raise NotFoundError(message)
    return _item(row)


def contents(connection: Connection, number: int) -> Contents:
    """Return what the bytes of one thing say to this version; NotFoundError."""
    body = connection.scalar(select(quarantine.c.body).where(quarantine.c.id == number))
    if body is None:
        message = f"quarantine has no number {number}"
        raise NotFoundError(message)
    try:
        payload = batch.decode(_payload(bytes(body)))
        records = batch.records(payload)
    except WireError as error:
        return Contents(bytes(body), (), (), str(error))
    readings = tuple(record for record in records if isinstance(record, Reading))
    events = tuple(record for record in records if isinstance(record, Event))
    return Contents(bytes(body), readings, events, "")


def replay(connection: Connection, number: int, *, by: str, now_us: int) -> int:
    """Store what can be stored now and was not before; return how many readings.

    RefusedError if it was decided, still is no batch, or another batch holds its id.
    """
    found = item(connection, number)
    _check_open(found)
    inside = contents(connection, number)
    if inside.problem:
        message = f"number {number} is still no batch: {inside.problem}"
        raise RefusedError(message)
    payload = _payload(inside.body)
    digest = hashlib.sha256(payload).digest()
    held = repository.payload_hashes(connection, [found.batch_id]).get(found.batch_id)
    if held is not None and held != digest:
        message = f"another batch is stored under the id of number {number}: compare, then discard"
        raise RefusedError(message)
    if held is None:
        _store_batch(connection, found, payload, digest, len(inside.readings), now_us)
    fresh = _fresh(connection, found, payload)
    telemetry.store(connection, [(found.gateway_id, found.batch_id, fresh)])
    if held is not None and fresh:
        row = {"gateway_id": found.gateway_id, "batch_id": found.batch_id}
        connection.execute(outbox.insert(), [row])
    _decide(connection, number, REPLAYED, by, now_us, f"{len(fresh)} readings stored")
    return len(fresh)


def discard(connection: Connection, number: int, *, by: str, note: str, now_us: int) -> None:
    """Note that something is of no use; its bytes stay. RefusedError if it was decided."""
    _check_open(item(connection, number))
    _decide(connection, number, DISCARDED, by, now_us, note)


def _fresh(connection: Connection, found: Item, payload: bytes) -> list[Reading]:
    series = batch.decode(payload).series
    rows = [row for columns in series for row in good_rows(columns)]
    owners = repository.owners(connection, {row.device for row in rows})
    mine = [row for row in rows if owners.get(row.device, found.gateway_id) == found.gateway_id]
    stored = telemetry.stored_of(connection, found.gateway_id, found.batch_id, mine)
    return [row for row in mine if (row.device, row.point, row.read_at_us) not in stored]


def _store_batch(
    connection: Connection, found: Item, payload: bytes, digest: bytes, records: int, now_us: int
) -> None:
    repository.add_batches(
        connection,
        [
            {
                "batch_id": found.batch_id,
                "gateway_id": found.gateway_id,
                "lane": found.lane,
                "payload_hash": digest,
                "payload": payload,
                "records": records,
                "received_us": now_us,
            }
        ],
    )


def _payload(body: bytes) -> bytes:
    # a fork is kept in its envelope, all else as the payload
    try:
        return envelope.unpack(body).payload
    except WireError:
        return body


def _check_open(found: Item) -> None:
    if found.decision is not None:
        message = f"number {found.id} was {found.decision} by {found.decided_by}"
        raise RefusedError(message)


def _decide(
    connection: Connection, number: int, decision: str, by: str, now_us: int, note: str
) -> None:
    row = {
        "quarantine_id": number,
        "decision": decision,
        "decided_by": by,
        "decided_us": now_us,
        "note": note,
    }
    connection.execute(decisions.insert(), [row])


def _items(project_id: str | None) -> Select[tuple[object, ...]]:
    query = select(
        quarantine.c.id,
        quarantine.c.gateway_id,
        quarantine.c.lane,
        quarantine.c.batch_id,
        quarantine.c.reason,
        func.length(quarantine.c.body).label("size"),
        quarantine.c.received_us,
        decisions.c.decision,
        decisions.c.decided_by,
        decisions.c.decided_us,
        decisions.c.note,
    ).select_from(quarantine.outerjoin(decisions, decisions.c.quarantine_id == quarantine.c.id))
    if project_id is not None:
        mine = select(gateways.c.id).where(gateways.c.project_id == project_id)
        query = query.where(quarantine.c.gateway_id.in_(mine))
    return query


def _item(row: RowMapping) -> Item:
    return Item(**{**row, "batch_id": bytes(row["batch_id"])})
