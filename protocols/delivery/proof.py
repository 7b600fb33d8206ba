"""A proof of one device's records in one batch, from its rows to a gateway's signature."""

import hashlib
import json
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from protocols.delivery import batch
from protocols.delivery.envelope import Envelope
from protocols.delivery.records import Reading, Record

FORMAT: Final = "hutong-proof-1"
_CANONICAL: Final = msgspec.json.Encoder(order="sorted")


class Step(msgspec.Struct, frozen=True):
    """One step up the Merkle tree: the neighbour's hash and on which side of ours it stands."""

    side: Literal["left", "right"]
    hash: str


class Link(msgspec.Struct, frozen=True):
    """One envelope of the chain without its payload; all but `seq` in hexadecimal."""

    seq: int
    batch_id: str
    prev_hash: str
    root: str
    payload_hash: str
    hash: str


class Claim(msgspec.Struct, frozen=True):
    """The reading that was asked for: the `index`-th of the leaf's records, and what it says."""

    index: int
    point: str
    uom: str
    exponent: int
    count: int | None
    quality: int
    read_at_us: int


class Signed(msgspec.Struct, frozen=True):
    """The place that the gateway signed, `epoch` and `hash` in hexadecimal."""

    gateway: str
    lane: int
    epoch: str
    seq: int
    hash: str


class Proof(msgspec.Struct, frozen=True):
    """All that a check needs; of neighbours it has nothing but hashes.

    `leaf` is the canonical JSON of the device's records as it was hashed, `salt` and `epoch` are
    hexadecimal, `signature` and `public_key` base64. `chain` leads from the batch to `signed`.
    """

    format: str
    gateway: str
    lane: int
    epoch: str
    device: str
    reading: Claim | None
    leaf: str
    salt: str
    path: tuple[Step, ...]
    chain: tuple[Link, ...]
    signed: Signed
    signature: str
    public_key: str


def to_json(proof: Proof) -> bytes:
    """Return a proof as it is written: sorted keys, an indent of one, a line feed at the end.

    There is one way to write each proof, so that not a byte of a file can change unseen.
    """
    fields = msgspec.to_builtins(proof)
    text = json.dumps(fields, ensure_ascii=False, sort_keys=True, indent=1)
    return f"{text}\n".encode()


def rows_of(payload: batch.Payload, device: str) -> list[Record]:
    """Return the records of one device, in the order in which its leaf has them."""
    return [record for record in batch.records(payload) if record.device == device]


def leaf_text(device: str, rows: Sequence[Record]) -> str:
    """Return the canonical JSON of a device's records, as `batch.leaf` hashes it."""
    return _CANONICAL.encode({"device": device, "records": rows}).decode()


def claim(rows: Sequence[Record], point: str, read_at_us: int) -> Claim | None:
    """Return the first reading of a point at an instant among a leaf's records."""
    for index, row in enumerate(rows):
        if isinstance(row, Reading) and (row.point, row.read_at_us) == (point, read_at_us):
            return Claim(
                index, point, row.uom, row.exponent, row.count, row.quality, row.read_at_us
            )
    return None


def merkle_path(payload: batch.Payload, device: str) -> tuple[Step, ...]:
    """Return the way from a device's leaf to the root; ValueError if the batch has no such leaf."""
    by_device: dict[str, list[Record]] = {}
    for record in batch.records(payload):
        by_device.setdefault(record.device, []).append(record)
    names = sorted(by_device)
    level = [batch.leaf(name, by_device[name], payload.seed) for name in names]
    place = names.index(device)
    steps: list[Step] = []
    while len(level) > 1:
        sibling = place ^ 1
        # an odd node rises unchanged and has no neighbour
        if sibling < len(level):
            side: Literal["left", "right"] = "left" if sibling < place else "right"
            steps.append(Step(side, level[sibling].hex()))
        level = [_node(level[at : at + 2]) for at in range(0, len(level), 2)]
        place //= 2
    return tuple(steps)


def link(envelope: Envelope, payload_hash: bytes) -> Link:
    """Return an envelope's part of a chain, from the SHA-256 of its payload."""
    return Link(
        envelope.seq,
        envelope.batch_id.hex(),
        envelope.prev_hash.hex(),
        envelope.root.hex(),
        payload_hash.hex(),
        envelope.hash.hex(),
    )


def _node(pair: Sequence[bytes]) -> bytes:
    if len(pair) == 1:
        return pair[0]
    return hashlib.sha256(b"\x01" + pair[0] + pair[1]).digest()
