"""Waiting on a bus: instants kept to a fraction of a millisecond, and pauses between requests."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from protocols.errors import LinkError
from protocols.io.link import ModbusLink, WritingLink
from protocols.modbus.wire import Wire

# The event loop's timers are coarse (epoll counts whole milliseconds and rounds up).
_COARSE_S = 0.002
# A unit that did not answer may have been asked too soon: its pause grows, up to this.
LONGEST_GAP_S = 1.0
_FIRST_GAP_S = 0.05
# After so many answers in a row its pause shrinks again.
_PATIENT_FOR = 200
_FORGIVEN_AFTER = 20_000
# How much of the last turnaround goes into the average.
_WEIGHT = 0.1
_KNOWN_AFTER = 20


async def sleep_until(monotonic_s: float) -> None:
    """Return at `time.monotonic() >= monotonic_s`, not a timer tick later; other tasks go on."""
    rest_s = monotonic_s - time.monotonic()
    if rest_s > _COARSE_S:
        await asyncio.sleep(rest_s - _COARSE_S)
    # A frame silence is shorter than a timer tick, so the last part yields in a loop.
    while time.monotonic() < monotonic_s:  # noqa: ASYNC110 - nothing sets an event at an instant
        await asyncio.sleep(0)


@dataclass(slots=True)
class _Pace:
    """One unit: its least pause and the one it gets, and how long it takes to answer.

    `refused_s` is the longest pause that was too short for it.
    """

    least_s: float
    gap_s: float
    free_at: float = 0.0
    answers: int = 0
    refused_s: float = 0.0
    turnaround_s: float = 0.0


class PacedLink:
    """A link that leaves each unit a pause between its answer and the next request.

    `gap_s` is for every unit that `gaps_s` does not name; a unit's pause doubles whenever it does
    not answer. On a `wire` the time that frames take is no part of a unit's turnaround.
    """

    def __init__(
        self,
        link: ModbusLink,
        *,
        gap_s: float = 0.0,
        gaps_s: Mapping[int, float] | None = None,
        wire: Wire | None = None,
    ) -> None:
        self._link = link
        self._wire = wire
        self._gap_s = gap_s
        self._paces = {unit_id: _Pace(least, least) for unit_id, least in (gaps_s or {}).items()}

    def gap_s(self, unit_id: int) -> float:
        """The pause that a unit gets now."""
        return self._pace(unit_id).gap_s

    def turnaround_s(self, unit_id: int) -> float | None:
        """How long a unit takes to answer, on average; None until it is known."""
        pace = self._pace(unit_id)
        return pace.turnaround_s if pace.answers >= _KNOWN_AFTER else None

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        """As the link inside, after the unit's pause."""
        pace = self._pace(unit_id)
        if pace.free_at > time.monotonic():
            await sleep_until(pace.free_at)
        began_at = time.monotonic()
        try:
            words = await self._link.transact(
                unit_id, function, address, count, patience_s=patience_s
            )
        except LinkError:
            # silence after silence is a dead unit, not one that was asked too soon
            if pace.answers:
                pace.answers = 0
                pace.refused_s = max(pace.refused_s, pace.gap_s)
                pace.gap_s = min(LONGEST_GAP_S, max(2 * pace.gap_s, _FIRST_GAP_S))
            pace.free_at = time.monotonic() + pace.gap_s
            raise
        except BaseException:
            pace.free_at = time.monotonic() + pace.gap_s
            raise
        now = time.monotonic()
        self._note(pace, now - began_at, function, count)
        pace.free_at = now + pace.gap_s
        return words

    async def write(
        self, unit_id: int, function: int, address: int, values: tuple[int, ...]
    ) -> None:
        """As the link inside, after the unit's pause; LinkError where its backend only reads."""
        if not isinstance(self._link, WritingLink):
            message = "this bus's backend cannot write: allowed is the native one"
            raise LinkError(message)
        pace = self._pace(unit_id)
        await sleep_until(pace.free_at)
        try:
            await self._link.write(unit_id, function, address, values)
        finally:
            pace.free_at = time.monotonic() + pace.gap_s

    async def close(self) -> None:
        """Close the link inside."""
        await self._link.close()

    def _pace(self, unit_id: int) -> _Pace:
        pace = self._paces.get(unit_id)
        if pace is None:
            pace = self._paces[unit_id] = _Pace(self._gap_s, self._gap_s)
        return pace

    def _note(self, pace: _Pace, took_s: float, function: int, count: int) -> None:
        wire = self._wire
        if wire is not None:
            frames_s = wire.read_s(count, function=function) - wire.turnaround_s
            took_s = max(0.0, took_s - frames_s)
        pace.answers += 1
        weight = max(_WEIGHT, 1 / pace.answers)
        pace.turnaround_s += weight * (took_s - pace.turnaround_s)
        if pace.answers % _PATIENT_FOR == 0 and pace.gap_s > pace.least_s:
            shorter = max(pace.least_s, pace.gap_s / 2)
            if pace.answers % _FORGIVEN_AFTER == 0:
                # it may have been noise on the line
                pace.refused_s = 0.0
            # what it did not bear before is not tried again
            if shorter > pace.refused_s:
                pace.gap_s = shorter
