"""The one owner of a bus: reads its devices when they are due and says when one falls silent."""

import asyncio
from collections.abc import Mapping

import structlog

from devices.driver import Clock, Link, Sample
from devices.modbus_meter import ModbusMeter
from edge.recorder import Recorder
from edge.report import Reporter
from edge.schedule import SILENT_AFTER, Schedule
from protocols.delivery.records import MAX_COUNT, Event, Quality, Reading, words_to_bytes
from protocols.errors import ProtocolError

# a wall clock that is set is noticed after this long
LONGEST_WAIT_S = 60.0

log = structlog.get_logger("poller")

_QUALITIES = {
    "good": Quality.GOOD,
    "missing": Quality.MISSING,
    "suspect": Quality.SUSPECT,
    "out_of_range": Quality.OUT_OF_RANGE,
}


def to_reading(device: str, sample: Sample) -> Reading:
    """Return a driver's sample as it travels; raw words only where the point is billed.

    A count that no 64-bit column holds is noise of the meter: no value, out of range.
    """
    fits = sample.count is None or abs(sample.count) <= MAX_COUNT
    quality = _QUALITIES[sample.quality] if fits else Quality.OUT_OF_RANGE
    return Reading(
        device,
        sample.point,
        sample.uom,
        sample.exponent,
        sample.count if fits else None,
        quality.value,
        sample.at_us,
        sample.monotonic_us,
        words_to_bytes(sample.words) if sample.billing else b"",
    )


class BusPoller:
    """Polls the meters of one bus, one after the other, on their schedule."""

    def __init__(
        self,
        bus: str,
        link: Link,
        meters: Mapping[str, ModbusMeter],
        *,
        schedule: Schedule,
        clock: Clock,
        recorder: Recorder,
        reporters: Mapping[str, Reporter] | None = None,
    ) -> None:
        self.bus = bus
        self._link = link
        self._meters = meters
        self._schedule = schedule
        self._clock = clock
        self._recorder = recorder
        self._reporters = reporters or {}
        self._silent: set[str] = set()

    async def run(self) -> None:
        """Poll for ever; closes the link when cancelled."""
        self._schedule.start(self._clock.now_us())
        try:
            while True:
                device = self._schedule.take(self._clock.now_us())
                if device is not None:
                    await self.poll(device)
                    continue
                wait_us = self._schedule.next_us() - self._clock.now_us()
                await asyncio.sleep(min(LONGEST_WAIT_S, max(0.0, wait_us / 1e6)))
        finally:
            await self._link.close()

    async def poll(self, device: str) -> None:
        """Read one device once; a failure is counted and, when it lasts, told."""
        began_us = self._clock.monotonic_us()
        try:
            samples = await self._meters[device].read(self._link, self._clock)
        except ProtocolError as error:
            log.debug("poll_failed", device=device, bus=self.bus, reason=str(error))
            cost_us = self._clock.monotonic_us() - began_us
            failures = self._schedule.failed(device, self._clock.now_us(), cost_us)
            if failures == SILENT_AFTER:
                self._silent.add(device)
                log.warning("device_silent", device=device, bus=self.bus, reason=str(error))
                await self._tell(device, "device_silent", str(error))
            return
        self._schedule.answered(device, self._clock.now_us())
        if device in self._silent:
            self._silent.discard(device)
            log.info("device_back", device=device, bus=self.bus)
            await self._tell(device, "device_back", "")
        if (reporter := self._reporters.get(device)) is not None:
            samples = reporter.worth_telling(samples)
        self._recorder.add([to_reading(device, sample) for sample in samples])

    async def _tell(self, device: str, kind: str, reason: str) -> None:
        body: dict[str, str | int | None] = {"bus": self.bus, "reason": reason}
        event = Event(device, kind, self._clock.now_us(), self._clock.monotonic_us(), body)
        await self._recorder.note(event)
