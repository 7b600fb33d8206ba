"""Frames that end with the sum of their bytes and 16H: DL/T 645, CJ/T 188 and M-Bus look alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from protocols.errors import WireError
from protocols.verdict import Kind, Verdict, reject, surroundings

LengthAt = Callable[[bytes | bytearray, int], int | None]
END = 0x16
WAKEUP = 0xFE


FrameT = TypeVar("FrameT")


@dataclass(frozen=True, slots=True)
class Language(Generic[FrameT]):
    """What a protocol makes of a frame's bytes; `match` and `explain` raise WireError."""

    frame_of: Callable[[bytes], FrameT]
    match: Callable[[FrameT, FrameT], None]
    explain: Callable[[FrameT], Verdict]


@dataclass(frozen=True, slots=True)
class Span:
    """A frame at bytes `start`..`end` of a buffer, its sum and end byte right."""

    start: int
    end: int


def find_span(buffer: bytes | bytearray, length_at: LengthAt, *, first: int = 0) -> Span | None:
    """The first whole frame, None while there is none; see `find_spans`."""
    return next(find_spans(buffer, length_at, first=first), None)


def find_spans(buffer: bytes | bytearray, length_at: LengthAt, *, first: int = 0) -> Iterator[Span]:
    """Whole frames, one after the other.

    `length_at(buffer, place)` is the length of what would begin there, None if nothing does; the
    summed part begins `first` bytes after a frame's start (or 1 if it is a short M-Bus frame).
    """
    start = 0
    while start < len(buffer):
        length = length_at(buffer, start)
        end = start + (length or 0)
        if (
            length is not None
            and end <= len(buffer)
            and buffer[end - 1] == END
            and _sum(_summed(buffer[start:end], first)) == buffer[end - 2]
        ):
            yield Span(start, end)
            start = end
        else:
            start += 1


def judge_spans(
    buffer: bytes,
    length_at: LengthAt,
    read: Callable[[bytes], Verdict],
    *,
    kind: Kind | None,
    first: int = 0,
) -> Verdict:
    """The verdict of `read` (WireError to refuse) on the first frame that it and `kind` accept."""
    fault = ""
    for span in find_spans(buffer, length_at, first=first):
        try:
            verdict = read(buffer[span.start : span.end])
        except WireError as error:
            fault = fault or str(error)
            continue
        found = verdict.fields["kind"]
        if kind not in (None, found):
            fault = fault or f"a {found}, not a {kind}"
            continue
        start = span.start
        while start and buffer[start - 1] == WAKEUP:
            start -= 1
        woken = span.start - start
        note = f"; behind {woken} wake-up bytes fe" if woken else ""
        around = surroundings(buffer, start, span.end)
        return replace(verdict, reason=verdict.reason + note + around)
    return reject(fault or fault_of(buffer, length_at, first=first))


def judge_frames(
    buffer: bytes,
    length_at: LengthAt,
    language: "Language[FrameT]",
    *,
    kind: Kind | None,
    request: bytes | None,
) -> Verdict:
    """The verdict on a frame with anything around it; `request` is the frame it must answer."""
    asked: FrameT | None = None
    if request is not None:
        span = find_span(request, length_at)
        if span is None:
            return reject(f"request: {fault_of(request, length_at)}")
        asked = language.frame_of(request[span.start : span.end])

    def read(raw: bytes) -> Verdict:
        frame = language.frame_of(raw)
        if asked is not None:
            language.match(frame, asked)
        return language.explain(frame)

    return judge_spans(buffer, length_at, read, kind=kind)


def fault_of(
    buffer: bytes,
    length_at: LengthAt,
    *,
    first: int = 0,
) -> str:
    """Why the buffer holds no frame, with what its checksum would be the sum of instead."""
    for start in range(len(buffer)):
        length = length_at(buffer, start)
        if length is None:
            continue
        if start + length > len(buffer):
            return f"truncated: {len(buffer) - start} bytes, its length makes it {length}"
        frame = buffer[start : start + length]
        if frame[-1] != END:
            return f"the frame of {length} bytes ends with {frame[-1]:02x}, must be 16"
        return _sum_fault(buffer[:start], frame, first)
    return f"{len(buffer)} bytes: no frame begins in them"


def _sum_fault(before: bytes, frame: bytes, first: int) -> str:
    body, got = _summed(frame, first), frame[-2]
    reason = f"checksum {got:02x} is wrong, the bytes sum to {_sum(body):02x}"
    # Published samples err in known ways; naming the one that fits says whose fault it is.
    others = {
        "with the wake-up bytes": _sum(before + frame[:-2]),
        "without the start byte": _sum(body[1:]),
        "with the checksum negated": -_sum(body) & 0xFF,
    }
    for name, other in others.items():
        if other == got:
            return f"{reason} ({got:02x} is the sum {name})"
    return f"{reason}; no usual other way of summing gives {got:02x}"


def _summed(frame: bytes | bytearray, first: int) -> bytes | bytearray:
    # a short M-Bus frame (10 C A CS 16) has one byte before its sum, whatever the long one has
    return frame[1:-2] if first and len(frame) == _SHORT else frame[first:-2]


def _sum(data: bytes | bytearray) -> int:
    return sum(data) & 0xFF


_SHORT = 5
