"""Whether a reading was sealed and signed: leaf, Merkle path, chain, signature; and its words."""

import base64
import json
import struct
from fractions import Fraction
from math import isfinite
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .shapes import CLAIM, PROOF, check_shape
from .values import DiffersError, Doc, among, decimal_of, half_away, same, sha256

_FLOATS: Final = {4: ">f", 8: ">d"}
_TYPES: Final = (
    *("int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float32", "float64"),
)


def checked_proof(proof: Doc, path: str, keys: frozenset[str]) -> tuple[list[Any], Doc]:
    """Return the reading that a proof shows and the link of its batch, see docs/proofs.md."""
    check_shape(proof, PROOF, path)
    same(f"{path}.format", proof["format"], "hutong-proof-1")
    leaf, claim, links = json.loads(proof["leaf"]), proof["reading"], proof["chain"]
    same(f"{path}.device", proof["device"], leaf["device"])
    among(f"{path}.reading.index", claim["index"], tuple(range(len(leaf["records"]))))
    row: list[Any] = leaf["records"][claim["index"]]
    for name, column in CLAIM.items():
        same(f"{path}.reading.{name}", claim[name], row[column])
    node = sha256(b"\x00" + bytes.fromhex(proof["salt"]) + proof["leaf"].encode())
    for index, step in enumerate(proof["path"]):
        other = bytes.fromhex(step["hash"])
        among(f"{path}.path[{index}].side", step["side"], ("left", "right"))
        node = sha256(b"\x01" + (other + node if step["side"] == "left" else node + other))
    same(f"{path}.chain[0].root", links[0]["root"], node.hex())
    home = (proof["gateway"], proof["lane"], int(proof["epoch"], 16))
    for index, link in enumerate(links):
        place = f"{path}.chain[{index}]"
        if index:
            same(f"{place}.seq", link["seq"], links[index - 1]["seq"] + 1)
            same(f"{place}.prev_hash", link["prev_hash"], links[index - 1]["hash"])
        before, batch, root, payload = (
            bytes.fromhex(link[key]) for key in ("prev_hash", "batch_id", "root", "payload_hash")
        )
        digest = sha256(_pack(before, *home, link["seq"], batch, root, payload))
        same(f"{place}.hash", link["hash"], digest.hex())
    last, signed, key = links[-1], proof["signed"], proof["public_key"]
    for name in signed:
        said = (last if name in ("seq", "hash") else proof)[name]
        same(f"{path}.signed.{name}", signed[name], said)
    message = _pack("hutong-sig-1", *home, last["seq"], bytes.fromhex(last["hash"]))
    signature = base64.b64decode(proof["signature"], validate=True)
    same(f"{path}.signature", proof["signature"], base64.b64encode(signature).decode())
    public = base64.b64decode(key, validate=True)
    same(f"{path}.public_key", key, base64.b64encode(public).decode())
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature as error:
        text = f"{path}.signature: is not that of {key} over the last link"
        raise DiffersError(text) from error
    if keys and key not in keys:
        raise DiffersError(f"{path}.public_key: {key}, expected {', '.join(sorted(keys))}")
    return row, links[0]


def decoded(words: bytes, how: Doc, exponent: int, path: str) -> int:
    """Return the count that words mean: values of a type in an order times a scale, rounded."""
    among(f"{path}: type", how["type"], _TYPES)
    kind, order = how["type"].rstrip("0123456789"), how["order"]
    size = int(how["type"].removeprefix(kind)) // 8
    among(f"{path}: order", order, ("ABCD", "CDAB", "BADC", "DCBA"))
    same(path, len(words), size * how["terms"])
    total = 0
    for start in range(0, len(words), size):
        raw = words[start : start + size]
        if order in ("BADC", "CDAB"):
            raw = b"".join(raw[at : at + 2][::-1] for at in range(0, size, 2))
        raw = raw[::-1] if order in ("CDAB", "DCBA") else raw
        if kind == "float":
            (number,) = struct.unpack(_FLOATS[size], raw)
            if not isfinite(number):
                raise DiffersError(f"{path}: {raw.hex()} is no number")
            value = Fraction(_shortest(number, raw))
        else:
            value = Fraction(int.from_bytes(raw, signed=kind == "int"))
        steps = value * decimal_of(how["scale"], f"{path}: scale") / Fraction(10) ** exponent
        total += half_away(steps)
    return total


def _shortest(number: float, raw: bytes) -> str:
    # the decimal of the fewest digits that reads back as the same float
    for digits in range(6, 10):
        text = f"{number:.{digits}g}"
        if struct.pack(_FLOATS[len(raw)], float(text)) == raw:
            return text
    return repr(number)


def _pack(*values: str | int | bytes) -> bytes:
    # a MessagePack array of texts, numbers from 0 on and bytes, each as short as can be
    made = bytearray([0x90 | len(values)])
    for value in values:
        if isinstance(value, int):
            power = next(power for power in range(4) if value < 1 << (8 << power))
            small = value <= 0x7F  # noqa: PLR2004 - a positive fixint holds up to 127
            made += bytes([value]) if small else bytes([0xCC + power]) + value.to_bytes(1 << power)
            continue
        raw = value.encode() if isinstance(value, str) else value
        power = next(power for power in range(3) if len(raw) < 1 << (8 << power))
        if isinstance(value, str) and len(raw) <= 0x1F:  # noqa: PLR2004 - a fixstr holds up to 31
            made.append(0xA0 | len(raw))
        else:
            made.append((0xD9 if isinstance(value, str) else 0xC4) + power)
            made += len(raw).to_bytes(1 << power)
        made += raw
    return bytes(made)
