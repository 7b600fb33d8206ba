"""All SQL of proofs: keys, signatures, and the envelopes between a batch and a signature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from cloud.database import insert_new
from cloud.ingest.tables import batches, envelopes, lanes
from cloud.proofs.tables import checked_batches, gateway_keys, signatures
from cloud.sites.tables import channels, gateways
from protocols.delivery.envelope import VERSION, Envelope
from protocols.delivery.signature import Signature


@dataclass(frozen=True)
class Key:
    """A public key of a gateway and when it vouches for what is received."""

    key: bytes
    valid_from_us: int
    revoked_us: int | None

    def vouches_at(self, at_us: int) -> bool:
        """Say whether a signature received then may be judged by this key."""
        return self.valid_from_us <= at_us and (self.revoked_us is None or at_us < self.revoked_us)


@dataclass(frozen=True)
class Waiting:
    """A signature to judge, and the hash of the envelope in the place that it signs."""

    gateway_id: str
    signature: Signature
    received_us: int
    envelope_hash: bytes


@dataclass(frozen=True)
class Place:
    """A stored envelope and the SHA-256 of its payload, None if the batch itself is not held."""

    envelope: Envelope
    payload_hash: bytes | None


def project_of(connection: Connection, gateway: str) -> str | None:
    """Return the project of a gateway, None if it is unknown."""
    project: str | None = connection.scalar(
        select(gateways.c.project_id).where(gateways.c.id == gateway)
    )
    return project


def keys(connection: Connection, gateway: str) -> list[Key]:
    """Return every key that a gateway has or had, oldest first."""
    query = (
        select(gateway_keys.c.key, gateway_keys.c.valid_from_us, gateway_keys.c.revoked_us)
        .where(gateway_keys.c.gateway_id == gateway)
        .order_by(gateway_keys.c.valid_from_us, gateway_keys.c.key)
    )
    return [Key(*row) for row in connection.execute(query)]


def add_key(connection: Connection, gateway: str, key: bytes, valid_from_us: int) -> None:
    """Keep a key of a gateway; one that is there already stays as it is."""
    row = {"gateway_id": gateway, "key": key, "valid_from_us": valid_from_us}
    insert_new(connection, gateway_keys, [row])


def revoke_key(connection: Connection, gateway: str, key: bytes, at_us: int) -> bool:
    """Let a key vouch for nothing from an instant on; False if there is no such valid key."""
    done = connection.execute(
        update(gateway_keys)
        .where(
            gateway_keys.c.gateway_id == gateway,
            gateway_keys.c.key == key,
            gateway_keys.c.revoked_us.is_(None),
        )
        .values(revoked_us=at_us)
    )
    return done.rowcount == 1


def store_signature(connection: Connection, gateway: str, item: Signature, batch_id: bytes) -> None:
    """Keep a signature to judge; `batch_id` is the batch that it came in."""
    received_us = connection.scalar(
        select(batches.c.received_us).where(batches.c.batch_id == batch_id)
    )
    row = {
        "gateway_id": gateway,
        "lane": item.lane,
        "epoch": item.epoch.to_bytes(8, "big"),
        "seq": item.seq,
        "signature": item.signature,
        "hash": item.hash,
        "received_us": received_us or 0,
    }
    insert_new(connection, signatures, [row])


def waiting(connection: Connection, limit: int) -> list[Waiting]:
    """Return signatures that can be judged now: of gateways with a key, of envelopes held."""
    query = (
        select(signatures, envelopes.c.hash.label("envelope_hash"))
        .join(
            envelopes,
            (envelopes.c.gateway_id == signatures.c.gateway_id)
            & (envelopes.c.lane == signatures.c.lane)
            & (envelopes.c.epoch == signatures.c.epoch)
            & (envelopes.c.seq == signatures.c.seq),
        )
        .where(
            signatures.c.verified.is_(None),
            signatures.c.gateway_id.in_(select(gateway_keys.c.gateway_id)),
        )
        .limit(limit)
    )
    return [
        Waiting(
            row.gateway_id,
            Signature(row.lane, int.from_bytes(row.epoch, "big"), row.seq, row.hash, row.signature),
            row.received_us,
            row.envelope_hash,
        )
        for row in connection.execute(query)
    ]


def note_verdict(connection: Connection, item: Waiting, key: bytes | None) -> None:
    """Keep which key a signature is of, None if of none."""
    signed = item.signature
    connection.execute(
        update(signatures)
        .where(
            signatures.c.gateway_id == item.gateway_id,
            signatures.c.lane == signed.lane,
            signatures.c.epoch == signed.epoch.to_bytes(8, "big"),
            signatures.c.seq == signed.seq,
            signatures.c.signature == signed.signature,
        )
        .values(key=key, verified=key is not None)
    )


def judge_again(connection: Connection, gateway: str) -> None:
    """Let the signatures that no key had made be judged once more."""
    connection.execute(
        update(signatures)
        .where(signatures.c.gateway_id == gateway, signatures.c.verified.is_(False))
        .values(verified=None)
    )


def next_signature(connection: Connection, at: Envelope) -> tuple[Signature, bytes] | None:
    """Return the first verified signature at or after an envelope, with its key."""
    row = connection.execute(
        select(signatures)
        .where(
            signatures.c.gateway_id == at.gateway,
            signatures.c.lane == at.lane,
            signatures.c.epoch == at.epoch.to_bytes(8, "big"),
            signatures.c.seq >= at.seq,
            signatures.c.verified.is_(True),
        )
        .order_by(signatures.c.seq)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Signature(row.lane, at.epoch, row.seq, row.hash, row.signature), row.key


def places_of(connection: Connection, batch_id: bytes) -> list[Place]:
    """Return every envelope that a batch ever had, newest first."""
    query = (
        select(envelopes, batches.c.payload_hash)
        .join(batches, batches.c.batch_id == envelopes.c.batch_id, isouter=True)
        .where(envelopes.c.batch_id == batch_id)
        .order_by(envelopes.c.received_us.desc())
    )
    return [Place(_envelope(row), row.payload_hash) for row in connection.execute(query)]


def chain(connection: Connection, first: Envelope, last_seq: int) -> list[Place]:
    """Return the envelopes of an epoch from `first` to `last_seq`."""
    query = (
        select(envelopes, batches.c.payload_hash)
        .join(batches, batches.c.batch_id == envelopes.c.batch_id, isouter=True)
        .where(
            envelopes.c.gateway_id == first.gateway,
            envelopes.c.lane == first.lane,
            envelopes.c.epoch == first.epoch.to_bytes(8, "big"),
            envelopes.c.seq.between(first.seq, last_seq),
        )
        .order_by(envelopes.c.seq)
    )
    return [Place(_envelope(row), row.payload_hash) for row in connection.execute(query)]


def payload(connection: Connection, batch_id: bytes) -> bytes | None:
    """Return a batch's bytes as its gateway sealed them, None if they are not held."""
    raw: bytes | None = connection.scalar(
        select(batches.c.payload).where(batches.c.batch_id == batch_id)
    )
    return raw


def channels_of(connection: Connection, device: str, point: str) -> list[int]:
    """Return the channels of a device's point, over all gateways that ever read it."""
    query = select(channels.c.id).where(channels.c.device_id == device, channels.c.point == point)
    return list(connection.scalars(query.order_by(channels.c.id)))


def lane_lengths(connection: Connection) -> list[tuple[str, int, bytes, int]]:
    """Return gateway, lane, epoch and watermark of every lane that holds anything."""
    query = (
        select(lanes.c.gateway_id, lanes.c.lane, lanes.c.epoch, lanes.c.through)
        .where(lanes.c.through > 0)
        .order_by(lanes.c.gateway_id, lanes.c.lane, lanes.c.epoch)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def unchecked(
    connection: Connection, gateway: str, lane: int, epoch: bytes, seq: int
) -> tuple[Envelope, bytes] | None:
    """Return an envelope and its payload, None if it is not held or was checked."""
    query = (
        select(envelopes, batches.c.payload)
        .join(batches, batches.c.batch_id == envelopes.c.batch_id)
        .join(checked_batches, checked_batches.c.batch_id == envelopes.c.batch_id, isouter=True)
        .where(
            envelopes.c.gateway_id == gateway,
            envelopes.c.lane == lane,
            envelopes.c.epoch == epoch,
            envelopes.c.seq == seq,
            checked_batches.c.batch_id.is_(None),
            # what ended the worker that read it is in quarantine alone
            func.length(batches.c.payload) > 0,
        )
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (_envelope(row), row.payload)


def note_checked(connection: Connection, checked: Sequence[tuple[bytes, bool]], at_us: int) -> None:
    """Remember batches that were checked, and whether they are as their gateway sealed them."""
    rows = [{"batch_id": name, "checked_us": at_us, "good": good} for name, good in checked]
    insert_new(connection, checked_batches, rows)


def _envelope(row: Row[Any]) -> Envelope:
    return Envelope(
        VERSION,
        row.gateway_id,
        row.lane,
        int.from_bytes(row.epoch, "big"),
        row.seq,
        row.batch_id,
        row.prev_hash,
        row.root,
        row.hash,
        b"",
    )
