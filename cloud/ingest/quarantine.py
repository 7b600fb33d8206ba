"""Quarantine: what could not be stored, kept as it came until somebody replays or discards it."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, Select, func, select, update

from cloud.errors import NotFoundError, RefusedError
from cloud.ingest import repository, service
from cloud.ingest.quarantine_tables import quarantine_decisions as decisions
from cloud.ingest.service import DEADLY, Again
from cloud.ingest.tables import batches, outbox, quarantine, replaced_batches
from cloud.sites.tables import gateways
from protocols.delivery import batch, envelope
from protocols.delivery.batch import ClockQuality
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
    """What the bytes say now: their records, or why they are no batch (`problem`)."""

    body: bytes
    readings: tuple[Reading, ...] = ()
    events: tuple[Event, ...] = ()
    clock_quality: ClockQuality = "none"
    replaces: int = 0
    problem: str = ""


@dataclass(frozen=True)
class _Sealed:
    gateway: str
    lane: int
    batch_id: bytes
    payload: bytes


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
    """Return what the bytes of one thing say to this version; NotFoundError.

    What ended the worker that read it is not read.
    """
    query = select(quarantine.c.body, quarantine.c.reason).where(quarantine.c.id == number)
    row = connection.execute(query).one_or_none()
    if row is None:
        message = f"quarantine has no number {number}"
        raise NotFoundError(message)
    body = bytes(row.body)
    if row.reason == DEADLY:
        return Contents(body, problem=DEADLY)
    try:
        payload = batch.decode(_payload(body))
        records = batch.records(payload)
    except WireError as error:
        return Contents(body, problem=str(error))
    return Contents(
        body,
        tuple(record for record in records if isinstance(record, Reading)),
        tuple(record for record in records if isinstance(record, Event)),
        batch.clock_quality(payload),
        len(payload.replaces),
    )


def replay(
    connection: Connection, number: int, *, by: str, now_us: int, may_die: bool = False
) -> Again:
    """Store what can be stored now and was not before, as if it came now; return what that was.

    RefusedError if it was decided, still is no batch, has nothing more that can be stored, or its
    id is another's. What ended the worker that read it is only read if this process `may_die`.
    """
    repository.enrolled(connection, [item(connection, number).gateway_id])
    found = item(connection, number)
    _check_open(found)
    if found.reason == DEADLY and not may_die:
        message = f"number {number}: {DEADLY}; replay it by a command of its own: --may-die"
        raise RefusedError(message)
    body = connection.scalar(select(quarantine.c.body).where(quarantine.c.id == number))
    sealed = _Sealed(found.gateway_id, found.lane, found.batch_id, _payload(bytes(body or b"")))
    digest = hashlib.sha256(sealed.payload).digest()
    before = _held(connection, sealed, digest, number)
    try:
        again = service.store_again(connection, sealed, now_us, is_new=not before)
    except WireError as error:
        message = f"number {number} is still no batch: {error}"
        raise RefusedError(message) from error
    if again is None:
        message = f"number {number} has nothing that can be stored now: {found.reason}"
        raise RefusedError(message)
    if before is None:
        _add_batch(connection, sealed, digest, records=again.records, now_us=now_us)
    else:
        _renew_batch(connection, sealed, again, was_read=before > 0)
    _decide(connection, number, REPLAYED, by, now_us, _told(again))
    return again


def discard(connection: Connection, number: int, *, by: str, note: str, now_us: int) -> None:
    """Note that something is of no use; its bytes stay. RefusedError if it was decided."""
    _check_open(item(connection, number))
    _decide(connection, number, DISCARDED, by, now_us, note)


def _held(connection: Connection, sealed: _Sealed, digest: bytes, number: int) -> int | None:
    # how many records of it were read when it came; None if it is not held
    query = select(batches.c.payload_hash, batches.c.records).where(
        batches.c.batch_id == sealed.batch_id
    )
    held = connection.execute(query).one_or_none()
    if held is not None:
        if bytes(held.payload_hash) != digest:
            message = f"another batch is stored under the id of number {number}"
            raise RefusedError(f"{message}: compare, then discard")
        return int(held.records)
    other = connection.scalar(
        select(replaced_batches.c.batch_id).where(
            replaced_batches.c.gateway_id == sealed.gateway,
            replaced_batches.c.replaced_id == sealed.batch_id,
        )
    )
    if other is not None:
        message = f"what was kept of number {number} came in batch {bytes(other).hex()}"
        raise RefusedError(f"{message}: discard it")
    return None


def _add_batch(
    connection: Connection, sealed: _Sealed, digest: bytes, *, records: int, now_us: int
) -> None:
    row = {
        "batch_id": sealed.batch_id,
        "gateway_id": sealed.gateway,
        "lane": sealed.lane,
        "payload_hash": digest,
        "payload": sealed.payload,
        "records": records,
        "received_us": now_us,
    }
    repository.add_batches(connection, [row])


def _renew_batch(connection: Connection, sealed: _Sealed, again: Again, *, was_read: bool) -> None:
    # the events of one that was never read are news to alerts; so are readings of any
    if not was_read:
        connection.execute(
            update(batches)
            .where(batches.c.batch_id == sealed.batch_id)
            .values(payload=sealed.payload, records=again.records)
        )
    if again.stored or not was_read:
        row = {"gateway_id": sealed.gateway, "batch_id": sealed.batch_id}
        connection.execute(outbox.insert(), [row])


def _told(again: Again) -> str:
    told = f"{again.stored} readings stored"
    return f"{told}, {again.waiting} wait for the time" if again.waiting else told


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
