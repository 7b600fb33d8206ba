"""Bytes that were no answer to the open question: late answers, another master's frames, noise."""

from dataclasses import dataclass

from protocols.modbus.search import Found, rtu_frames
from protocols.verdict import REQUEST, RESPONSE


@dataclass(frozen=True, slots=True)
class Overheard:
    """Whole frames in a stretch of bytes, and how many bytes belong to none of them."""

    frames: tuple[Found, ...]
    stray: int


def overheard(buffer: bytes) -> Overheard:
    """The frames in bytes of a serial line, one after the other."""
    frames: list[Found] = []
    stray = 0
    while (found := next(rtu_frames(buffer, (RESPONSE, REQUEST)), None)) is not None:
        stray += found.start
        frames.append(found)
        buffer = buffer[found.end :]
    return Overheard(tuple(frames), stray + len(buffer))
