"""SIG: a gateway's Ed25519 signature over one place of a lane's hash chain."""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from protocols.delivery.envelope import LANES, MAX_SEQ
from protocols.delivery.records import EventValue
from protocols.errors import WireError

DOMAIN: Final = "hutong-sig-1"
SIG: Final = "sig"
KEY_MADE: Final = "key_made"
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_HASH_BYTES: Final = 32
_EPOCH_DIGITS: Final = 16


class Signature(msgspec.Struct, frozen=True):
    """What a SIG says: the chain of a lane's epoch had this hash at `seq`."""

    lane: int
    epoch: int
    seq: int
    hash: bytes
    signature: bytes

    def to_body(self) -> dict[str, EventValue]:
        """Return the body of the event that carries it."""
        return {
            "lane": self.lane,
            "epoch": f"{self.epoch:016x}",
            "seq": self.seq,
            "hash": self.hash.hex(),
            "signature": base64.b64encode(self.signature).decode(),
        }


def signed_bytes(gateway: str, lane: int, epoch: int, seq: int, digest: bytes) -> bytes:
    """Return what is signed: MessagePack of (domain, gateway, lane, epoch, seq, hash)."""
    return msgspec.msgpack.encode((DOMAIN, gateway, lane, epoch, seq, digest))


def sign(
    key: Ed25519PrivateKey, *, gateway: str, lane: int, epoch: int, seq: int, digest: bytes
) -> Signature:
    """Return the signature over a place; the same key and place always give the same bytes."""
    raw = key.sign(signed_bytes(gateway, lane, epoch, seq, digest))
    return Signature(lane, epoch, seq, digest, raw)


def is_signed_by(key: bytes, gateway: str, item: Signature) -> bool:
    """Say whether the holder of a raw public key made this signature for this gateway."""
    message = signed_bytes(gateway, item.lane, item.epoch, item.seq, item.hash)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(item.signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def from_body(body: Mapping[str, EventValue]) -> Signature:
    """Return what an event's body says; WireError names the first field that is nonsense."""
    lane, seq = body.get("lane"), body.get("seq")
    if not isinstance(lane, int) or lane not in LANES:
        message = f"sig: lane: {lane!r}: allowed are {LANES}"
        raise WireError(message)
    if not isinstance(seq, int) or not 1 <= seq <= MAX_SEQ:
        message = f"sig: seq: {seq!r}: allowed are 1 to {MAX_SEQ}"
        raise WireError(message)
    epoch = _hex(body, "epoch", _EPOCH_DIGITS // 2)
    text = body.get("signature")
    signature = b"" if not isinstance(text, str) else _base64(text)
    if len(signature) != SIGNATURE_BYTES:
        message = f"sig: signature: {text!r}: allowed are {SIGNATURE_BYTES} bytes in base64"
        raise WireError(message)
    return Signature(
        lane, int.from_bytes(epoch, "big"), seq, _hex(body, "hash", _HASH_BYTES), signature
    )


def key_text(key: bytes) -> str:
    """Return a raw public key as people copy it: 44 characters of base64."""
    return base64.b64encode(key).decode()


def key_bytes(text: str) -> bytes:
    """Return the raw public key of its 44 characters; WireError if it is none."""
    raw = _base64(text)
    if len(raw) != KEY_BYTES or key_text(raw) != text:
        message = f"public key {text!r}: allowed are {KEY_BYTES} bytes in base64, 44 characters"
        raise WireError(message)
    return raw


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Return the raw public key of a private one."""
    return key.public_key().public_bytes_raw()


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _hex(body: Mapping[str, EventValue], name: str, size: int) -> bytes:
    text = body.get(name)
    try:
        raw = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != size or raw.hex() != text:
        message = f"sig: {name}: {text!r}: allowed are {2 * size} lower hexadecimal digits"
        raise WireError(message)
    return raw
