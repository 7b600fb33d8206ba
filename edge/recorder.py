"""Group commit: what was read waits at most one commit interval before it is on disk."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from edge.clock import SystemClock
from edge.journal import Journal, JournalFullError
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event, Reading

OFFLINE_SEAL_S = 60

log = structlog.get_logger("recorder")


class Recorder:
    """Collects readings and events and commits them to the journal's lanes.

    What a full journal refuses is dropped here: the journal counts it and declares it later. Any
    other JournalError is raised: a disk that fails must end the program.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        commit_s: float,
        online: Callable[[], bool],
        sealed: Callable[[], None],
    ) -> None:
        self.journal = journal
        self._commit_s = commit_s
        self._online = online
        self._sealed = sealed
        self._clock = SystemClock()
        self._readings: list[Reading] = []
        self._last_seal_us = -OFFLINE_SEAL_S * 1_000_000
        self._tail = True  # an earlier run may have left its tail open

    def add(self, readings: Sequence[Reading]) -> None:
        """Take readings for the next commit."""
        self._readings.extend(readings)

    async def note(self, event: Event) -> None:
        """Commit and seal an event at once: events do not wait."""
        try:
            await asyncio.to_thread(
                self.journal.append, LANE_EVENTS, [event], seal_at_us=self._clock.now_us()
            )
        except JournalFullError as error:
            log.error("event_refused", event_kind=event.kind, reason=str(error))
            return
        self._sealed()

    async def run(self) -> None:
        """Commit every interval, for ever."""
        while True:
            await asyncio.sleep(self._commit_s)
            await self.flush(seal=False)

    async def flush(self, *, seal: bool) -> None:
        """Commit what was collected; seal it when online, when asked, or once a minute."""
        # the wall clock may be set back by years: what is due goes by the other one
        now_us, monotonic_us = self._clock.now_us(), self._clock.monotonic_us()
        due = monotonic_us - self._last_seal_us >= OFFLINE_SEAL_S * 1_000_000
        sealing = seal or due or self._online()
        if not self._readings and not (sealing and self._tail):
            return
        taken, self._readings = self._readings, []
        commit = asyncio.create_task(
            asyncio.to_thread(
                self.journal.append,
                LANE_READINGS,
                taken,
                seal_at_us=now_us if sealing else None,
            )
        )
        try:
            await asyncio.shield(commit)
        except JournalFullError as error:
            log.error("readings_refused", readings=len(taken), reason=str(error))
        finally:
            # a thread cannot be cancelled: only what it failed to commit is still to be kept
            await asyncio.wait({commit})
            failure = commit.exception()
            if failure is None:
                self._tail = not sealing
            elif not isinstance(failure, JournalFullError):
                self._readings = taken + self._readings
        if sealing:
            self._last_seal_us = monotonic_us
            self._sealed()
