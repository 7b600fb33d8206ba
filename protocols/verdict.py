"""What a frame is found to be: the verdict that every protocol's judge gives, and hex as pasted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from protocols.errors import WireError

Kind = Literal["request", "response"]
Field = str | int | None | Sequence[int] | Sequence[str | None] | Sequence[Mapping[str, str | None]]

REQUEST: Kind = "request"
RESPONSE: Kind = "response"
KINDS = (REQUEST, RESPONSE)
LONGEST_DUMP = 65536


@dataclass(frozen=True, slots=True)
class Verdict:
    """`accept`, `exception` (a right frame that refuses) or `reject`, and why."""

    verdict: Literal["accept", "exception", "reject"]
    reason: str
    unit_id: int | None = None
    function: int | None = None
    exception: int | None = None
    words: tuple[str, ...] = ()
    fields: Mapping[str, Field] = field(default_factory=dict)


def reject(reason: str) -> Verdict:
    """The verdict on what is no such frame."""
    return Verdict("reject", reason)


def surroundings(buffer: bytes, start: int, end: int) -> str:
    """Text that names the bytes before and after a frame, empty if it is alone."""
    parts = [
        f"; {len(data)} bytes {where} the frame skipped: {_shown(data)}"
        for where, data in (("before", buffer[:start]), ("after", buffer[end:]))
        if data
    ]
    return "".join(parts)


def parse_hex(text: str) -> bytes:
    """Bytes of a hex dump as people paste it; WireError names what is no hex.

    Between bytes may stand spaces, newlines, commas, semicolons, colons, dashes and brackets;
    bytes may begin with 0x or \\x or end with H.
    """
    out = bytearray()
    for token in _BETWEEN.split(text):
        digits = _HEX.fullmatch(token) if token else None
        if digits is None:
            if not token:
                continue
            message = f"hex: {token[:40]!r}: allowed are bytes of two hex digits"
            raise WireError(message)
        found = digits[1]
        if len(found) == 1:
            found = f"0{found}"
        if len(found) % 2:
            message = f"hex: {token[:40]!r}: an odd number of digits"
            raise WireError(message)
        out += bytes.fromhex(found)
    if len(out) > LONGEST_DUMP:
        message = f"hex: {len(out)} bytes: allowed are {LONGEST_DUMP}"
        raise WireError(message)
    return bytes(out)


def _shown(data: bytes) -> str:
    return data[:_SHOWN].hex(" ") + (" ..." if len(data) > _SHOWN else "")


_SHOWN = 24
_BETWEEN = re.compile(r"(?:[\s,;:\-\[\](){}\"'_|]|(?:0[xX]|\\[xX])(?=[0-9A-Fa-f]))+")
_HEX = re.compile(r"([0-9A-Fa-f]+)[hH]?")
