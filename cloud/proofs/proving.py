"""A proof drawn from what is stored, and checked before anybody gets it."""

import base64
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from cloud.errors import CloudError, NotFoundError, RefusedError
from cloud.proofs import repository
from cloud.telemetry import repository as telemetry
from protocols.delivery import batch, proof, verify_proof
from protocols.delivery.envelope import Envelope
from protocols.delivery.proof import Claim, Link, Proof, Signed
from protocols.delivery.records import Record, instant, microseconds
from protocols.delivery.signature import Signature, key_text
from protocols.errors import WireError

FORMS: Final = "DEVICE/POINT@INSTANT (RFC 3339), or BATCH_ID/DEVICE"
_READING: Final = re.compile(r"(?P<device>[^/@]+)/(?P<point>[^/@]+)@(?P<at>[^@]+)")
_BATCH: Final = re.compile(r"(?P<batch>[0-9a-f]{32})/(?P<device>[^@]*)")
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """What is to be proven: a device's records in a batch, and perhaps one reading of them."""

    batch_id: bytes
    device: str
    point: str = ""
    read_at_us: int = 0


@dataclass(frozen=True)
class _Chain:
    links: tuple[Link, ...]
    signature: Signature
    key: bytes


def prove(connection: Connection, wanted: Wanted) -> bytes:
    """Return a proof as JSON; NotFoundError if there is nothing that shows it.

    RefusedError if what is stored is not what the gateway signed.
    """
    payload = repository.payload(connection, wanted.batch_id)
    if payload is None:
        message = f"batch {wanted.batch_id.hex()} is not held"
        raise NotFoundError(message)
    try:
        decoded = batch.decode(payload)
        rows = proof.rows_of(decoded, wanted.device)
    except WireError as error:
        raise RefusedError(str(error)) from error
    if not rows:
        message = f"batch {wanted.batch_id.hex()} has no records of {wanted.device!r}"
        raise NotFoundError(message)
    place, chain = _signed_place(connection, wanted.batch_id)
    signed, epoch = chain.signature, f"{place.epoch:016x}"
    raw = proof.to_json(
        Proof(
            proof.FORMAT,
            place.gateway,
            place.lane,
            epoch,
            wanted.device,
            _claim(wanted, rows),
            proof.leaf_text(wanted.device, rows),
            batch.salt_of(wanted.device, decoded.seed).hex(),
            proof.merkle_path(decoded, wanted.device),
            chain.links,
            Signed(place.gateway, signed.lane, epoch, signed.seq, signed.hash.hex()),
            base64.b64encode(signed.signature).decode(),
            key_text(chain.key),
        )
    )
    try:
        verify_proof.verify(raw, key_text(chain.key))
    except (verify_proof.DiffersError, verify_proof.UnreadableError) as error:
        message = f"what is stored is not what {place.gateway} signed: {error}"
        raise RefusedError(message) from error
    return raw


def find(connection: Connection, text: str) -> Wanted:
    """Return what a text names, as FORMS has it; NotFoundError if there is no such reading.

    An instant without a fraction stands for its whole second.
    """
    if (named := _BATCH.fullmatch(text)) is not None:
        return Wanted(bytes.fromhex(named["batch"]), named["device"])
    asked = _READING.fullmatch(text)
    if asked is None:
        message = f"{text!r}: allowed are {FORMS}"
        raise CloudError(message)
    device, point = asked["device"], asked["point"]
    from_us, to_us = _span(asked["at"])
    channels = repository.channels_of(connection, device, point)
    for channel in channels:
        for row in telemetry.rows_between(connection, channel, from_us, to_us):
            # as it was sealed: an undated reading has another time there
            sealed = telemetry.raw_reading(connection, channel, row)
            return Wanted(row.batch_id, device, point, sealed.read_at_us)
    near = [
        instant(row.read_at_us).isoformat()
        for channel in channels
        for row in (
            telemetry.nearest_before(connection, channel, from_us),
            telemetry.nearest_after(connection, channel, from_us),
        )
        if row is not None
    ]
    around = f"; the nearest are {', '.join(near)}" if near else ""
    message = f"{device}/{point} has no reading at {asked['at']}{around}"
    raise NotFoundError(message)


def clock_quality(connection: Connection, wanted: Wanted) -> batch.ClockQuality:
    """Return whether the clock of what is to be proven could be believed; NotFoundError."""
    payload = repository.payload(connection, wanted.batch_id)
    if payload is None:
        message = f"batch {wanted.batch_id.hex()} is not held"
        raise NotFoundError(message)
    return batch.clock_quality(batch.decode(payload))


def _span(text: str) -> tuple[int, int]:
    try:
        from_us = microseconds(datetime.fromisoformat(text))
    except ValueError as error:
        message = f"instant {text!r}: allowed is RFC 3339 with its zone: 2026-07-01T08:00:00Z"
        raise CloudError(message) from error
    return from_us, from_us + (1 if "." in text else _SECOND_US)


def _claim(wanted: Wanted, rows: list[Record]) -> Claim | None:
    if not wanted.point:
        return None
    found = proof.claim(rows, wanted.point, wanted.read_at_us)
    if found is None:
        at = instant(wanted.read_at_us).isoformat()
        name = wanted.batch_id.hex()
        message = f"batch {name} has no reading of {wanted.device}/{wanted.point} at {at}"
        raise RefusedError(message)
    return found


def _signed_place(connection: Connection, batch_id: bytes) -> tuple[Envelope, _Chain]:
    # a batch that was delivered in several epochs has an envelope in each: one will do
    for place in repository.places_of(connection, batch_id):
        first = place.envelope
        found = repository.next_signature(connection, first)
        if found is None:
            continue
        signature, key = found
        links = tuple(
            proof.link(item.envelope, item.payload_hash)
            for item in repository.chain(connection, first, signature.seq)
            if item.payload_hash is not None
        )
        if len(links) == signature.seq - first.seq + 1:
            return first, _Chain(links, signature, key)
    message = (
        f"batch {batch_id.hex()} has no verified signature at or after it; one comes each minute"
        " (see `hutong-cloud gateway trust-key`)"
    )
    raise NotFoundError(message)
