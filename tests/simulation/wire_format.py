"""The documented layouts read by code of the simulation's own: envelope, chain hash, payload."""

import hashlib
import hmac
from typing import NamedTuple

import msgspec
import zstandard

GENESIS = bytes(32)
_DEVICE, _POINT, _UOM, _EXPONENT, _READ_AT, _MONOTONIC, _COUNTS, _MISSING, _QUALITY = range(9)
_WIDTH, _WORDS = 9, 10


class Place(NamedTuple):
    """An envelope as the layout has it: ten fields in this order."""

    version: int
    gateway: str
    lane: int
    epoch: int
    seq: int
    batch_id: bytes
    prev_hash: bytes
    root: bytes
    hash: bytes
    payload: bytes


class Row(NamedTuple):
    """One record of a payload: `number` is its count, or the number in an event's body."""

    device: str
    point: str
    number: int | None
    at_us: int
    monotonic_us: int
    quality: int
    words: bytes


def read_envelope(message: bytes) -> Place:
    """Return the ten fields of an envelope; ValueError if it has others."""
    fields = msgspec.msgpack.decode(message)
    return Place(*fields)


def chain_hash(place: Place) -> bytes:
    """Return SHA256(prev_hash, gateway, lane, epoch, seq, batch_id, root, SHA256(payload))."""
    fields = [
        place.prev_hash,
        place.gateway,
        place.lane,
        place.epoch,
        place.seq,
        place.batch_id,
        place.root,
        hashlib.sha256(place.payload).digest(),
    ]
    return hashlib.sha256(msgspec.msgpack.encode(fields)).digest()


def read_payload(payload: bytes) -> list[Row] | None:
    """Return the records of a payload in their order, None if it is not one of version 1."""
    try:
        raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=1 << 22)
        version, _, series, events = msgspec.msgpack.decode(raw)[:4]
    except (zstandard.ZstdError, msgspec.DecodeError, ValueError, TypeError):
        return None
    if version != 1:
        return None
    rows: list[Row] = []
    for columns in series:
        read_at = monotonic = count = 0
        width = columns[_WIDTH]
        for index, step in enumerate(columns[_COUNTS]):
            read_at += columns[_READ_AT][index]
            monotonic += columns[_MONOTONIC][index]
            count += step
            rows.append(
                Row(
                    columns[_DEVICE],
                    columns[_POINT],
                    None if index in columns[_MISSING] else count,
                    read_at,
                    monotonic,
                    columns[_QUALITY][index],
                    columns[_WORDS][index * width : (index + 1) * width],
                )
            )
    for device, kind, at_us, monotonic_us, body in events:
        rows.append(Row(device, kind, body.get("number"), at_us, monotonic_us, 0, b""))
    return rows


def merkle_root(payload: bytes) -> bytes:
    """Return the root over one salted leaf per device of a payload of version 1."""
    raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=1 << 22)
    _, seed, series, events = msgspec.msgpack.decode(raw)[:4]
    by_device: dict[str, list[object]] = {}
    for columns in series:
        read_at = monotonic = count = 0
        width = columns[_WIDTH]
        for index, step in enumerate(columns[_COUNTS]):
            read_at += columns[_READ_AT][index]
            monotonic += columns[_MONOTONIC][index]
            count += step
            by_device.setdefault(columns[_DEVICE], []).append(
                [
                    *columns[:4],
                    None if index in columns[_MISSING] else count,
                    columns[_QUALITY][index],
                    read_at,
                    monotonic,
                    columns[_WORDS][index * width : (index + 1) * width],
                ]
            )
    for event in events:
        by_device.setdefault(event[0], []).append([*event[:4], dict(sorted(event[4].items()))])
    level: list[bytes] = []
    for device in sorted(by_device):
        salt = hmac.digest(seed, device.encode(), "sha256")
        text = msgspec.json.encode({"device": device, "records": by_device[device]})
        level.append(hashlib.sha256(b"\x00" + salt + text).digest())
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level) - 1, 2)
        ]
        level = pairs + level[len(pairs) * 2 :]
    return level[0] if level else hashlib.sha256(b"").digest()
