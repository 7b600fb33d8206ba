"""The documented layouts read by code of the simulation's own: envelope, chain hash, payload."""

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import zstandard

GENESIS = bytes(32)
_DEVICE, _POINT, _UOM, _EXPONENT, _READ_AT, _MONOTONIC, _COUNTS, _MISSING, _QUALITY = range(9)
_WIDTH, _WORDS = 9, 10
_REPLACING = 2
_SIGNED = "hutong-sig-1"


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


class Told(NamedTuple):
    """An event that the gateway itself has to tell: of its clock, a loss, a signature."""

    kind: str
    at_us: int
    monotonic_us: int
    body: dict[str, Any]


class Contents(NamedTuple):
    """What a payload holds: `kept` by the id of the batch that each group stands for."""

    rows: list[Row]
    told: list[Told]
    kept: dict[bytes, list[Row]]

    def all_rows(self) -> list[Row]:
        """Return every record, those kept of other batches too."""
        return [*self.rows, *(row for group in self.kept.values() for row in group)]


def read_envelope(message: bytes) -> Place:
    """Return the ten fields of an envelope; ValueError if it has others."""
    fields = msgspec.msgpack.decode(message)
    return Place(*fields)


def chain_hash(place: Place) -> bytes:
    """Return SHA256(prev_hash, gateway, lane, epoch, seq, batch_id, root, SHA256(payload))."""
    fields = (
        place.prev_hash,
        place.gateway,
        place.lane,
        place.epoch,
        place.seq,
        place.batch_id,
        place.root,
        hashlib.sha256(place.payload).digest(),
    )
    return hashlib.sha256(msgspec.msgpack.encode(fields)).digest()


def read_payload(payload: bytes) -> tuple[Contents, bytes] | None:
    """Return what a payload of version 1 or 2 holds and its Merkle root, None if it is neither."""
    try:
        raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=1 << 23)
        version, seed, series, events, *more = msgspec.msgpack.decode(raw)
    except (zstandard.ZstdError, msgspec.DecodeError, ValueError, TypeError):
        return None
    if version != (_REPLACING if more and more[0] else 1):
        return None
    groups = more[0] if more else ()
    leaves: dict[str, list[object]] = {}
    rows = [row for columns in series for row in _rows(columns, leaves)]
    kept = {
        name: [row for columns in group for row in _rows(columns, leaves)] for name, group in groups
    }
    told: list[Told] = []
    for device, kind, at_us, monotonic_us, body in events:
        leaves.setdefault(device, []).append(
            [device, kind, at_us, monotonic_us, dict(sorted(body.items()))]
        )
        if "number" in body:
            rows.append(Row(device, kind, body["number"], at_us, monotonic_us, 0, b""))
        else:
            told.append(Told(kind, at_us, monotonic_us, body))
    return Contents(rows, told, kept), _merkle_root(leaves, seed)


def signed_bytes(gateway: str, body: dict[str, Any]) -> bytes:
    """Return what a SIG signs: MessagePack of (domain, gateway, lane, epoch, seq, hash)."""
    epoch, digest = int(body["epoch"], 16), bytes.fromhex(body["hash"])
    return msgspec.msgpack.encode((_SIGNED, gateway, body["lane"], epoch, body["seq"], digest))


def ids_of(text: str) -> set[bytes]:
    """Return the batch ids of a loss: `boot:a-b,c boot:...`, counters in decimal."""
    found: set[bytes] = set()
    for part in text.split():
        boot, _, runs = part.partition(":")
        for run in runs.split(","):
            first, _, last = run.partition("-")
            for counter in range(int(first), int(last or first) + 1):
                found.add(bytes.fromhex(boot) + counter.to_bytes(4, "big"))
    return found


def _rows(columns: list[Any], leaves: dict[str, list[object]]) -> Iterator[Row]:
    read_at = monotonic = count = 0
    width, words = columns[_WIDTH], columns[_WORDS]
    device, point, missing = columns[_DEVICE], columns[_POINT], columns[_MISSING]
    own = leaves.setdefault(device, [])
    names = columns[: _EXPONENT + 1]
    for index, step in enumerate(columns[_COUNTS]):
        read_at += columns[_READ_AT][index]
        monotonic += columns[_MONOTONIC][index]
        count += step
        value = None if index in missing else count
        quality, word = columns[_QUALITY][index], words[index * width : (index + 1) * width]
        own.append([*names, value, quality, read_at, monotonic, word])
        yield Row(device, point, value, read_at, monotonic, quality, word)


def _merkle_root(leaves: dict[str, list[object]], seed: bytes) -> bytes:
    level: list[bytes] = []
    for device in sorted(leaves):
        salt = hmac.digest(seed, device.encode(), "sha256")
        text = msgspec.json.encode({"device": device, "records": leaves[device]})
        level.append(hashlib.sha256(b"\x00" + salt + text).digest())
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level) - 1, 2)
        ]
        level = pairs + level[len(pairs) * 2 :]
    return level[0] if level else hashlib.sha256(b"").digest()
