"""Whether a proof holds: one file of the standard library and `cryptography`, to copy and read.

    python verify_proof.py proof.json [--key PUBLIC_KEY]

Exit 0: it holds. Exit 1: the first thing that differs is named. Exit 2: the file is no proof.
"""

import argparse
import base64
import binascii
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT: Final = "hutong-proof-1"
DOMAIN: Final = "hutong-sig-1"
HOLDS, DIFFERS, UNREADABLE = 0, 1, 2

_HASH: Final = 32
# a reading is [device, point, uom, exponent, count, quality, read_at_us, monotonic_us, words]
_READING: Final = 9
_PLACES: Final = {"point": 1, "uom": 2, "exponent": 3, "count": 4, "quality": 5, "read_at_us": 6}
_KEYS: Final = {
    "proof": {
        *("format", "gateway", "lane", "epoch", "device", "reading", "leaf", "salt", "path"),
        *("chain", "signed", "signature", "public_key"),
    },
    "step": {"side", "hash"},
    "link": {"seq", "batch_id", "prev_hash", "root", "payload_hash", "hash"},
    "claim": {"index", *_PLACES},
    "signed": {"gateway", "lane", "epoch", "seq", "hash"},
}
_FURTHEST: Final = 18


class DiffersError(Exception):
    """The proof does not hold; the message names the first thing that differs."""


class UnreadableError(Exception):
    """The file is no proof; the message names the field."""


class _Fields:
    """An object of the proof, its fields checked when they are asked for."""

    def __init__(self, value: object, kind: str, place: str) -> None:
        if not isinstance(value, dict) or set(value) != _KEYS[kind]:
            message = f"{place}: its fields must be {', '.join(sorted(_KEYS[kind]))}"
            raise UnreadableError(message)
        self._fields: dict[str, object] = value
        self._place = "" if place == "proof" else f"{place}."

    def raw(self, name: str) -> object:
        return self._fields[name]

    def text(self, name: str) -> str:
        value = self._fields[name]
        if not isinstance(value, str):
            self._refuse(name, "a text")
        return value

    def natural(self, name: str) -> int:
        value = self._fields[name]
        # true is a number for Python
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
            self._refuse(name, "a whole number from 0 on")
        return value

    def hex(self, name: str, size: int) -> bytes:
        text = self.text(name)
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raw = b""
        if len(raw) != size or raw.hex() != text:
            self._refuse(name, f"{2 * size} lower hexadecimal digits")
        return raw

    def base64(self, name: str, size: int) -> bytes:
        text = self.text(name)
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != size or base64.b64encode(raw).decode() != text:
            self._refuse(name, f"{size} bytes in base64")
        return raw

    def list(self, name: str, kind: str) -> "list[_Fields]":
        value = self._fields[name]
        if not isinstance(value, list):
            self._refuse(name, "a list")
        place = f"{self._place}{name}"
        return [_Fields(item, kind, f"{place}[{index}]") for index, item in enumerate(value)]

    def _refuse(self, name: str, allowed: str) -> NoReturn:
        message = f"{self._place}{name}: must be {allowed}"
        raise UnreadableError(message)


def main(arguments: Sequence[str]) -> int:
    """Check a file, tell what came of it and return the exit code."""
    parser = argparse.ArgumentParser(prog="verify_proof", description="Check a proof.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", default="", help="the gateway's public key, 44 characters")
    given = parser.parse_args(arguments)
    try:
        told = verify(given.file.read_bytes(), given.key)
    except DiffersError as error:
        sys.stdout.write(f"proof does not hold: {error}\n")
        return DIFFERS
    except (OSError, UnreadableError) as error:
        sys.stderr.write(f"{given.file}: {error}\n")
        return UNREADABLE
    sys.stdout.write(f"proof holds: {told}\n")
    if not given.key:
        sys.stdout.write("the key is the file's own word: compare it with the gateway's\n")
    return HOLDS


def verify(raw: bytes, key: str = "") -> str:
    """Return what a proof shows; DiffersError if it doesn't hold, UnreadableError if it is none.

    `key` is the gateway's public key in base64 as known from elsewhere.
    """
    proof = _parse(raw)
    _same("format", proof.text("format"), FORMAT)
    records = _records(proof)
    shown = _claimed(proof, records)
    links = proof.list("chain", "link")
    if not links:
        raise UnreadableError("chain: must have the batch's own envelope")
    _same("chain[0].root", links[0].hex("root", _HASH).hex(), _root(proof).hex(), "leaf and path")
    _check_chain(proof, links)
    _check_signature(proof, links[-1], key)
    where = ", ".join(f"{name} {proof.raw(name)}" for name in ("gateway", "lane", "epoch"))
    batch, seq, last = (links[0].raw("batch_id"), links[0].raw("seq"), links[-1].raw("seq"))
    return _printable(
        f"{shown}; batch {batch}, {where}, seq {seq};"
        f" signed at seq {last} with the key {proof.text('public_key')}"
    )


def _parse(raw: bytes) -> _Fields:
    try:
        value = json.loads(raw.decode())
        again = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"
    except (ValueError, RecursionError) as error:
        message = f"is no JSON: {error}"
        raise UnreadableError(message) from error
    proof = _Fields(value, "proof", "proof")
    # one way to write it: nothing hides in blanks, escapes or fields that stand twice
    if again != raw:
        message = "is not written as a proof is: sorted keys, indent 1, a line feed at the end"
        raise UnreadableError(message)
    return proof


def _records(proof: _Fields) -> list[object]:
    try:
        leaf = json.loads(proof.text("leaf"))
        device, records = leaf["device"], leaf["records"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        message = f"leaf: is no JSON of a device and its records: {error}"
        raise DiffersError(message) from error
    _same("device", proof.text("device"), device, "the leaf")
    _same("leaf.records", type(records).__name__, "list", "the format")
    return list(records)


def _claimed(proof: _Fields, records: list[object]) -> str:
    device = proof.text("device")
    if proof.raw("reading") is None:
        return f"{len(records)} records of {device or 'the gateway'}"
    claim = _Fields(proof.raw("reading"), "claim", "reading")
    index = claim.natural("index")
    row = records[index] if index < len(records) else None
    if not isinstance(row, list) or len(row) != _READING:
        message = f"reading.index: {index}: the leaf has no such reading"
        raise DiffersError(message)
    for name, place in _PLACES.items():
        _same(f"reading.{name}", claim.raw(name), row[place], "the leaf")
    return (
        f"{device}/{claim.text('point')} = {_value(claim)} {claim.text('uom')}"
        f" (quality {claim.raw('quality')}) read at {_instant(claim.natural('read_at_us'))}"
    )


def _root(proof: _Fields) -> bytes:
    salt, leaf = proof.hex("salt", _HASH), proof.text("leaf").encode()
    node = hashlib.sha256(b"\x00" + salt + leaf).digest()
    for step in proof.list("path", "step"):
        other, side = step.hex("hash", _HASH), step.text("side")
        if side not in ("left", "right"):
            message = f"path: side {side!r}: must be left or right"
            raise UnreadableError(message)
        pair = other + node if side == "left" else node + other
        node = hashlib.sha256(b"\x01" + pair).digest()
    return node


def _check_chain(proof: _Fields, links: Sequence[_Fields]) -> None:
    epoch = int.from_bytes(proof.hex("epoch", 8), "big")
    home = (proof.text("gateway"), proof.natural("lane"), epoch)
    for index, link in enumerate(links):
        place = f"chain[{index}]"
        prev_hash, seq = link.hex("prev_hash", _HASH), link.natural("seq")
        if index:
            before = links[index - 1]
            _same(f"{place}.seq", seq, before.natural("seq") + 1, "the link before")
            _same(f"{place}.prev_hash", prev_hash.hex(), before.text("hash"), "the link before")
        fields = (prev_hash, *home, seq, link.hex("batch_id", 16))
        digests = (link.hex("root", _HASH), link.hex("payload_hash", _HASH))
        digest = hashlib.sha256(_pack(*fields, *digests)).hexdigest()
        _same(f"{place}.hash", link.hex("hash", _HASH).hex(), digest, "its fields")


def _check_signature(proof: _Fields, last: _Fields, key: str) -> None:
    signed = _Fields(proof.raw("signed"), "signed", "signed")
    for name in ("gateway", "lane", "epoch"):
        _same(f"signed.{name}", signed.raw(name), proof.raw(name), "the proof")
    for name in ("seq", "hash"):
        _same(f"signed.{name}", signed.raw(name), last.raw(name), "the last link")
    epoch = int.from_bytes(signed.hex("epoch", 8), "big")
    place = (signed.text("gateway"), signed.natural("lane"), epoch, signed.natural("seq"))
    message = _pack(DOMAIN, *place, signed.hex("hash", _HASH))
    public, signature = proof.base64("public_key", 32), proof.base64("signature", 64)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        text = "signature: is not the key's over the signed fields"
        raise DiffersError(text) from error
    if key:
        _same("public_key", proof.text("public_key"), key, "--key")


def _same(name: str, said: object, other: object, source: str = "the format") -> None:
    # 1, 1.0 and true are equal for Python
    if type(said) is not type(other) or said != other:
        message = _printable(f"{name}: says {said!r}, {source} says {other!r}")
        raise DiffersError(message)


def _pack(*values: str | int | bytes) -> bytes:
    """Return a MessagePack array of texts, numbers from 0 on and bytes, each as short as can be."""
    return bytes([0x90 | len(values)]) + b"".join(part for it in values for part in _packed(it))


def _packed(value: str | int | bytes) -> Iterator[bytes]:
    if isinstance(value, int):
        if value <= 0x7F:  # noqa: PLR2004 - a positive fixint holds up to 127
            yield bytes([value])
            return
        power = next(power for power in range(4) if value < 1 << (8 << power))
        yield bytes([0xCC + power]) + value.to_bytes(1 << power, "big")
        return
    raw = value.encode() if isinstance(value, str) else value
    is_text, size = isinstance(value, str), len(raw)
    if is_text and size <= 0x1F:  # noqa: PLR2004 - a fixstr holds up to 31 bytes
        yield bytes([0xA0 | size])
    else:
        power = next(power for power in range(3) if size < 1 << (8 << power))
        yield bytes([(0xD9 if is_text else 0xC4) + power]) + size.to_bytes(1 << power, "big")
    yield raw


def _value(claim: _Fields) -> str:
    count, exponent = claim.raw("count"), claim.raw("exponent")
    if not isinstance(count, int) or not isinstance(exponent, int):
        return "no value"
    far = abs(exponent) > _FURTHEST
    return f"{count}e{exponent}" if far else f"{Decimal(count).scaleb(exponent):f}"


def _instant(at_us: int) -> str:
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat()
    except OverflowError:
        return f"{at_us} us"


def _printable(text: str) -> str:
    # a file from elsewhere must not steer a terminal
    return text if text.isprintable() else ascii(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
