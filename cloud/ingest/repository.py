"""All SQL of the delivery protocol."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import time_ns

from sqlalchemy import Connection, case, delete, func, select, tuple_, update

from cloud.alerts import repository as alerts
from cloud.database import upsert
from cloud.ingest.tables import (
    batches,
    envelopes,
    generations,
    lanes,
    outbox,
    quarantine,
    replaced_batches,
)
from cloud.sites.tables import devices, gateways
from protocols.delivery import batch
from protocols.delivery.envelope import LANE_READINGS, Envelope
from protocols.delivery.messages import Hello
from protocols.delivery.receiver import Ahead, LaneState

LaneKey = tuple[str, int, int]

_SLICE = 500


@dataclass(frozen=True)
class Refused:
    """Something that arrived whole and makes no sense; kept as it came."""

    gateway_id: str
    lane: int
    batch_id: bytes
    reason: str
    body: bytes


@dataclass(frozen=True)
class Replacement:
    """A batch in whose place another stands; `stored` if its kept readings came with that one."""

    gateway_id: str
    replaced_id: bytes
    batch_id: bytes
    stored: bool


@dataclass(frozen=True)
class Delivered:
    """A stored batch that nobody has looked at yet."""

    id: int
    gateway_id: str
    batch_id: bytes
    payload: bytes


def enrolled(connection: Connection, gateway_ids: Iterable[str]) -> set[str]:
    """Return those gateways that the cloud knows, locked: one worker at a time for each.

    A lane's first row cannot be locked before it is there; its gateway's can.
    """
    query = (
        select(gateways.c.id)
        .where(gateways.c.id.in_(set(gateway_ids)))
        .order_by(gateways.c.id)
        .with_for_update(key_share=True)
    )
    return set(connection.scalars(query))


def owners(connection: Connection, device_ids: Iterable[str]) -> dict[str, str]:
    """Return the gateway of each of these devices that is on file."""
    wanted = sorted(set(device_ids))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _SLICE):
        query = select(devices.c.id, devices.c.gateway_id).where(
            devices.c.id.in_(wanted[start : start + _SLICE])
        )
        found |= {row.id: row.gateway_id for row in connection.execute(query)}
    return found


def lock_lanes(connection: Connection, keys: Iterable[LaneKey]) -> dict[LaneKey, LaneState]:
    """Return lanes for update, locked in sorted order so that workers cannot deadlock."""
    states: dict[LaneKey, LaneState] = {}
    for key in sorted(set(keys)):
        gateway, lane, epoch = key
        blob = _blob(epoch)
        row = connection.execute(
            select(lanes)
            .where(lanes.c.gateway_id == gateway, lanes.c.lane == lane, lanes.c.epoch == blob)
            .with_for_update()
        ).one_or_none()
        if row is None:
            states[key] = LaneState(epoch)
            continue
        waiting = connection.execute(
            select(envelopes.c.seq, envelopes.c.prev_hash, envelopes.c.hash).where(
                envelopes.c.gateway_id == gateway,
                envelopes.c.lane == lane,
                envelopes.c.epoch == blob,
                envelopes.c.seq > row.through,
            )
        )
        ahead = {seq: Ahead(prev_hash, digest) for seq, prev_hash, digest in waiting}
        states[key] = LaneState(epoch, row.through, row.hash_through, row.fenced, ahead)
    return states


def save_lanes(connection: Connection, states: Mapping[LaneKey, LaneState]) -> None:
    """Store where lanes stand now."""
    upsert(
        connection,
        lanes,
        [
            {
                "gateway_id": gateway,
                "lane": lane,
                "epoch": _blob(epoch),
                "through": state.through,
                "hash_through": state.hash_through,
                "fenced": state.fenced,
            }
            for (gateway, lane, epoch), state in sorted(states.items())
        ],
    )


def note_fence(connection: Connection, key: LaneKey, reason: str) -> None:
    """Remember why an epoch was fenced, and tell whoever watches."""
    gateway, lane, epoch = key
    detail: alerts.Detail = {"lane": lane, "epoch": f"{epoch:016x}", "text": reason}
    alerts.raise_clone(connection, gateway, detail, time_ns() // 1000)
    connection.execute(
        update(lanes)
        .where(lanes.c.gateway_id == gateway, lanes.c.lane == lane, lanes.c.epoch == _blob(epoch))
        .values(reason=reason)
    )


def payload_hashes(connection: Connection, ids: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the payload hash of each known batch id among `ids`."""
    query = select(batches.c.batch_id, batches.c.payload_hash).where(batches.c.batch_id.in_(ids))
    return {row.batch_id: row.payload_hash for row in connection.execute(query)}


def replaced_among(
    connection: Connection, wanted: Iterable[tuple[str, bytes]]
) -> set[tuple[str, bytes]]:
    """Return those of these (gateway, batch id) that another batch has replaced."""
    pairs = sorted(set(wanted))
    place = tuple_(replaced_batches.c.gateway_id, replaced_batches.c.replaced_id)
    found: set[tuple[str, bytes]] = set()
    for start in range(0, len(pairs), _SLICE):
        query = select(replaced_batches.c.gateway_id, replaced_batches.c.replaced_id).where(
            place.in_(pairs[start : start + _SLICE])
        )
        found |= {(row.gateway_id, row.replaced_id) for row in connection.execute(query)}
    return found


def held_among(connection: Connection, ids: Sequence[bytes]) -> set[bytes]:
    """Return those of these batch ids whose batch is held."""
    found: set[bytes] = set()
    for start in range(0, len(ids), _SLICE):
        query = select(batches.c.batch_id).where(
            batches.c.batch_id.in_(ids[start : start + _SLICE])
        )
        found |= set(connection.scalars(query))
    return found


def store_replacements(connection: Connection, replaced: Sequence[Replacement]) -> None:
    """Remember for ever which batches were replaced."""
    if replaced:
        connection.execute(replaced_batches.insert(), [vars(item) for item in replaced])


def stored_for(connection: Connection, batch_id: bytes) -> set[bytes]:
    """Return the replaced ids of which a batch holds what is stored."""
    query = select(replaced_batches.c.replaced_id).where(
        replaced_batches.c.batch_id == batch_id, replaced_batches.c.stored
    )
    return set(connection.scalars(query))


def stored_series(
    connection: Connection, batch_id: bytes, payload: batch.Payload
) -> list[batch.Columns]:
    """Return a batch's stored series; of what it replaces, only what was not held."""
    if not payload.replaces:
        return payload.series
    stored = stored_for(connection, batch_id)
    kept = [
        columns for item in payload.replaces if item.batch_id in stored for columns in item.series
    ]
    return [*payload.series, *kept]


def envelope_hashes(
    connection: Connection, arrived: Sequence[Envelope]
) -> dict[tuple[LaneKey, int], bytes]:
    """Return the hashes of the envelopes that are held for the same places in the chain."""
    wanted = [(e.gateway, e.lane, _blob(e.epoch), e.seq) for e in arrived]
    query = select(envelopes).where(
        tuple_(envelopes.c.gateway_id, envelopes.c.lane, envelopes.c.epoch, envelopes.c.seq).in_(
            wanted
        )
    )
    return {
        ((row.gateway_id, row.lane, int.from_bytes(row.epoch, "big")), row.seq): row.hash
        for row in connection.execute(query)
    }


def store_batches(
    connection: Connection,
    arrived: Sequence[tuple[Envelope, bytes, int]],
    received_us: int,
) -> None:
    """Store new batches (envelope, payload hash, records) as evidence, and tell the outbox."""
    if arrived:
        add_batches(
            connection,
            [
                {
                    "batch_id": envelope.batch_id,
                    "gateway_id": envelope.gateway,
                    "lane": envelope.lane,
                    "payload_hash": digest,
                    "payload": envelope.payload,
                    "records": records,
                    "received_us": received_us,
                }
                for envelope, digest, records in arrived
            ],
        )


def add_batches(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows of `batches`, and tell the outbox."""
    connection.execute(batches.insert(), rows)
    connection.execute(
        outbox.insert(),
        [{"gateway_id": row["gateway_id"], "batch_id": row["batch_id"]} for row in rows],
    )


def store_envelopes(connection: Connection, arrived: Sequence[Envelope], received_us: int) -> None:
    """Store the places of batches in their chains."""
    if arrived:
        connection.execute(
            envelopes.insert(),
            [
                {
                    "gateway_id": envelope.gateway,
                    "lane": envelope.lane,
                    "epoch": _blob(envelope.epoch),
                    "seq": envelope.seq,
                    "batch_id": envelope.batch_id,
                    "prev_hash": envelope.prev_hash,
                    "root": envelope.root,
                    "hash": envelope.hash,
                    "received_us": received_us,
                }
                for envelope in arrived
            ],
        )


def store_refused(connection: Connection, refused: Sequence[Refused], received_us: int) -> None:
    """Put what makes no sense into quarantine."""
    if refused:
        rows = [{**vars(item), "received_us": received_us} for item in refused]
        connection.execute(quarantine.insert(), rows)


def generation(connection: Connection, gateway: str) -> int:
    """Return the generation that this gateway's ACKs carry."""
    query = select(generations.c.generation).where(generations.c.gateway_id == gateway)
    return connection.scalar(query) or 1


def set_generation(connection: Connection, gateway: str, value: int) -> None:
    """Remember a generation."""
    upsert(connection, generations, [{"gateway_id": gateway, "generation": value}])


def note_hello(connection: Connection, gateway: str, hello: Hello, seen_us: int) -> None:
    """Remember when and how a gateway introduced itself."""
    backlog = sum(lane.next - 1 - lane.acked for lane in hello.lanes)
    connection.execute(
        update(gateways)
        .where(gateways.c.id == gateway)
        .values(
            install_id=hello.install_id,
            boot_id=hello.boot_id,
            firmware=hello.firmware,
            last_seen_us=seen_us,
            backlog=max(0, backlog),
            hello_nonce=hello.nonce,
            hello_us=seen_us,
        )
    )


def note_seen(connection: Connection, batches_of: Mapping[str, int], seen_us: int) -> None:
    """Remember that gateways were heard, and how many batches of their backlog that settles."""
    for gateway, settled in sorted(batches_of.items()):
        left = case((gateways.c.backlog > settled, gateways.c.backlog - settled), else_=0)
        connection.execute(
            update(gateways)
            .where(gateways.c.id == gateway)
            .values(last_seen_us=seen_us, backlog=left)
        )


def take_outbox(connection: Connection, limit: int) -> list[Delivered]:
    """Return the oldest entries of the outbox."""
    query = (
        select(outbox.c.id, outbox.c.gateway_id, outbox.c.batch_id, batches.c.payload)
        .join(batches, batches.c.batch_id == outbox.c.batch_id)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    return [Delivered(*row) for row in connection.execute(query)]


def drop_outbox(connection: Connection, ids: Sequence[int]) -> None:
    """Forget entries of the outbox that were looked at."""
    connection.execute(delete(outbox).where(outbox.c.id.in_(ids)))


def waiting_since_us(connection: Connection, project_id: str) -> int | None:
    """Return since when a project's readings wait for a batch before them, None if none does."""
    query = (
        select(func.min(envelopes.c.received_us))
        .join(
            lanes,
            (lanes.c.gateway_id == envelopes.c.gateway_id)
            & (lanes.c.lane == envelopes.c.lane)
            & (lanes.c.epoch == envelopes.c.epoch),
        )
        .join(gateways, gateways.c.id == lanes.c.gateway_id)
        .where(
            gateways.c.project_id == project_id,
            lanes.c.lane == LANE_READINGS,
            ~lanes.c.fenced,
            envelopes.c.seq > lanes.c.through,
        )
    )
    since_us: int | None = connection.scalar(query)
    return since_us


def counts(connection: Connection) -> tuple[int, int, int]:
    """Return how many batches are held, in quarantine, and waiting in the outbox."""
    return (
        connection.scalar(select(func.count()).select_from(batches)) or 0,
        connection.scalar(select(func.count()).select_from(quarantine)) or 0,
        connection.scalar(select(func.count()).select_from(outbox)) or 0,
    )


def _blob(epoch: int) -> bytes:
    return epoch.to_bytes(8, "big")
