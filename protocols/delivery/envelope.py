"""The envelope around a sealed batch: its place in a lane's hash chain."""

import hashlib
from typing import Final

import msgspec

from protocols.errors import WireError

VERSION: Final = 1
GENESIS: Final = bytes(32)
BOOT_ID_BYTES: Final = 12
BATCH_ID_BYTES: Final = BOOT_ID_BYTES + 4
MAX_SEQ: Final = (1 << 62) - 1
_HASH_BYTES: Final = 32
LANE_EVENTS: Final = 0
LANE_READINGS: Final = 1
LANES: Final = (LANE_EVENTS, LANE_READINGS)


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """A batch in its place: `seq` counts from 1 without gaps within a lane's `epoch`."""

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

    def __str__(self) -> str:
        """Name the envelope in a log line."""
        return f"{self.gateway}/{self.lane}/{self.epoch:016x}/{self.seq} {self.batch_id.hex()}"


def batch_id(boot_id: bytes, counter: int) -> bytes:
    """Return the 16-byte id of a boot's `counter`-th batch: 96 random bits and 32 of counter."""
    if len(boot_id) != BOOT_ID_BYTES:
        message = f"boot id has {len(boot_id)} bytes; allowed: {BOOT_ID_BYTES}"
        raise ValueError(message)
    return boot_id + counter.to_bytes(4, "big")


def seal(
    payload: bytes,
    *,
    gateway: str,
    lane: int,
    epoch: int,
    seq: int,
    batch_id: bytes,
    prev_hash: bytes,
    root: bytes,
) -> Envelope:
    """Return the envelope of a payload, its hash chained to `prev_hash`."""
    digest = _chain_hash(prev_hash, gateway, lane, epoch, seq, batch_id, root, payload)
    return Envelope(VERSION, gateway, lane, epoch, seq, batch_id, prev_hash, root, digest, payload)


def pack(envelope: Envelope) -> bytes:
    """Return the envelope as it travels."""
    return msgspec.msgpack.encode(envelope)


def unpack(message: bytes) -> Envelope:
    """Return a checked envelope; WireError if the bytes are nonsense or the hash is not theirs."""
    try:
        envelope = msgspec.msgpack.decode(message, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = f"{len(message)} bytes are no envelope: {error}"
        raise WireError(text) from error
    if envelope.version != VERSION:
        text = f"envelope version {envelope.version}; known: {VERSION}"
        raise WireError(text)
    if envelope.lane not in LANES or not 1 <= envelope.seq <= MAX_SEQ:
        text = f"{envelope}: lane must be one of {LANES} and seq 1 to {MAX_SEQ}"
        raise WireError(text)
    hashes = (envelope.prev_hash, envelope.root, envelope.hash)
    if len(envelope.batch_id) != BATCH_ID_BYTES or {len(item) for item in hashes} != {_HASH_BYTES}:
        text = f"{envelope}: a batch id has {BATCH_ID_BYTES} bytes and a hash {_HASH_BYTES}"
        raise WireError(text)
    if not 0 < envelope.epoch < 1 << 64:
        text = f"{envelope}: epoch must be a 64-bit number above 0"
        raise WireError(text)
    expected = _chain_hash(
        envelope.prev_hash,
        envelope.gateway,
        envelope.lane,
        envelope.epoch,
        envelope.seq,
        envelope.batch_id,
        envelope.root,
        envelope.payload,
    )
    if expected != envelope.hash:
        text = f"{envelope}: the hash is not that of its contents"
        raise WireError(text)
    return envelope


def _chain_hash(
    prev_hash: bytes,
    gateway: str,
    lane: int,
    epoch: int,
    seq: int,
    batch_id: bytes,
    root: bytes,
    payload: bytes,
) -> bytes:
    # msgpack frames every field with its length, so no two field lists share their bytes
    digest = hashlib.sha256(payload).digest()
    fields = (prev_hash, gateway, lane, epoch, seq, batch_id, root, digest)
    return hashlib.sha256(msgspec.msgpack.encode(fields)).digest()
