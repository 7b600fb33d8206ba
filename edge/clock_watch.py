"""Where the clock stands, journaled: so that what was read in a wrong time can be dated later."""

import asyncio
from typing import Final

import structlog

from edge.clock import SystemClock
from edge.recorder import Recorder
from protocols.delivery.records import Event

LOOK_S: Final = 1.0
# a step, and not the slow hand of NTP
STEPPED_US: Final = 1_000_000
# while our own clock is wrong, what the cloud says is written down this often
AGAIN_US: Final = 3600 * 1_000_000

log = structlog.get_logger("clock")


class ClockWatch:
    """Notes a `clock` event at the start, when the true time becomes known, and at each step."""

    def __init__(self, clock: SystemClock, recorder: Recorder) -> None:
        self._clock = clock
        self._recorder = recorder
        self._offset_us: int | None = None
        self._source = ""
        self._noted_us = 0

    async def run(self) -> None:
        """Look every second, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Note where the clock stands if that is news."""
        clock = self._clock
        now_us, monotonic_us = clock.now_us(), clock.monotonic_us()
        fix = clock.fix()
        source = "none" if fix is None else fix.source
        stepped = (
            self._offset_us is not None
            and abs(now_us - monotonic_us - self._offset_us) > STEPPED_US
        )
        unsure = not clock.is_certain() and fix is not None
        again = unsure and monotonic_us - self._noted_us >= AGAIN_US
        if source == self._source and not stepped and not again:
            return
        if stepped:
            log.warning(
                "clock_stepped", by_s=(now_us - monotonic_us - (self._offset_us or 0)) / 1e6
            )
        self._offset_us, self._source, self._noted_us = now_us - monotonic_us, source, monotonic_us
        body: dict[str, str | int | None] = {"boot_id": self._recorder.journal.boot_id.hex()}
        body["source"] = source
        if fix is not None:
            # of this instant of the monotonic clock
            body["wall_us"] = fix.wall_us + monotonic_us - fix.monotonic_us
            body["error_us"] = fix.error_us
        await self._recorder.note(Event("", "clock", now_us, monotonic_us, body))
