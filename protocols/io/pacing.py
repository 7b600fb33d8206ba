"""Waiting on a bus: instants kept to a fraction of a millisecond, and pauses between requests."""

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

# The event loop's timers are coarse (epoll counts whole milliseconds and rounds up).
_COARSE_S = 0.002


class _Transacting(Protocol):
    async def transact(
        self, unit_id: int, function: int, address: int, count: int
    ) -> tuple[int, ...]: ...

    async def close(self) -> None: ...


async def sleep_until(monotonic_s: float) -> None:
    """Return at `time.monotonic() >= monotonic_s`, not a timer tick later; other tasks go on."""
    rest_s = monotonic_s - time.monotonic()
    if rest_s > _COARSE_S:
        await asyncio.sleep(rest_s - _COARSE_S)
    # A frame silence is shorter than a timer tick, so the last part yields in a loop.
    while time.monotonic() < monotonic_s:  # noqa: ASYNC110 - nothing sets an event at an instant
        await asyncio.sleep(0)


class PacedLink:
    """A link that leaves each unit a pause between its answer and the next request.

    `gap_s` is for every unit that `gaps_s` does not name.
    """

    def __init__(
        self, link: _Transacting, *, gap_s: float = 0.0, gaps_s: Mapping[int, float] | None = None
    ) -> None:
        self._link = link
        self._gap_s = gap_s
        self._gaps_s = gaps_s or {}
        self._free_at: dict[int, float] = {}

    async def transact(
        self, unit_id: int, function: int, address: int, count: int
    ) -> tuple[int, ...]:
        """As the link inside, after the unit's pause."""
        await sleep_until(self._free_at.get(unit_id, 0.0))
        try:
            return await self._link.transact(unit_id, function, address, count)
        finally:
            gap_s = self._gaps_s.get(unit_id, self._gap_s)
            self._free_at[unit_id] = time.monotonic() + gap_s

    async def close(self) -> None:
        """Close the link inside."""
        await self._link.close()
