"""The one owner of a bus: reads its devices when they are due and says when one falls silent."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from devices.driver import Poll, Sample
from devices.modbus_meter import ModbusMeter
from edge.clock import GatewayClock
from edge.learning import Learner
from edge.line_trouble import LineTrouble
from edge.plausibility import Plausibility
from edge.recorder import Recorder
from edge.report import Reporter
from edge.schedule import SILENT_AFTER, Schedule
from protocols.delivery.records import (
    MAX_COUNT,
    UNDATED,
    Event,
    EventValue,
    Quality,
    Reading,
    decimal_text,
    words_to_bytes,
)
from protocols.io.line_counts import LineCounts
from protocols.io.pacing import PacedLink

# a wall clock that is set is noticed after this long
LONGEST_WAIT_S = 60.0

T = TypeVar("T")

log = structlog.get_logger("poller")

# plain numbers: an enum's members are looked up too slowly for every reading
_QUALITIES: dict[str, int] = {
    "good": int(Quality.GOOD),
    "missing": int(Quality.MISSING),
    "suspect": int(Quality.SUSPECT),
    "out_of_range": int(Quality.OUT_OF_RANGE),
    "stale": int(Quality.STALE),
}
_OUT_OF_RANGE = _QUALITIES["out_of_range"]


@dataclass
class PolledDevice:
    """One device of a bus with what is kept of it from poll to poll."""

    learner: Learner
    plausibility: Plausibility = field(default_factory=Plausibility)
    reporter: Reporter | None = None

    @property
    def meter(self) -> ModbusMeter:
        """Its meter, planned within what has been learnt."""
        return self.learner.meter

    @property
    def unit_id(self) -> int:
        """Its address on the bus."""
        return self.learner.meter.unit_id


def to_reading(device: str, sample: Sample, *, certain: bool = True) -> Reading:
    """Return a driver's sample as it travels; raw words only where the point is billed.

    A count that no 64-bit column holds is noise of the meter: no value, out of range. What was
    read by a clock that is not `certain` is undated.
    """
    count, quality = sample.count, _QUALITIES[sample.quality]
    if count is not None and not -MAX_COUNT <= count <= MAX_COUNT:
        count, quality = None, _OUT_OF_RANGE
    if not certain:
        quality = UNDATED[quality]
    return Reading(
        device,
        sample.point,
        sample.uom,
        sample.exponent,
        count,
        quality,
        sample.at_us,
        sample.monotonic_us,
        words_to_bytes(sample.words) if sample.billing else b"",
    )


class BusPoller:
    """Owns one bus: commands first, then its meters, one after the other, on their schedule."""

    def __init__(
        self,
        bus: str,
        link: PacedLink,
        devices: Mapping[str, PolledDevice],
        *,
        schedule: Schedule,
        clock: GatewayClock,
        recorder: Recorder,
        counts: LineCounts | None = None,
    ) -> None:
        """`counts` are those of the link inside, where it is a serial line."""
        self.bus = bus
        self._link = link
        self._devices = devices
        self._schedule = schedule
        self._clock = clock
        self._recorder = recorder
        self._trouble = LineTrouble(counts, {d.unit_id: name for name, d in devices.items()})
        self._silent: set[str] = set()
        self._commands: deque[Callable[[], Awaitable[None]]] = deque()
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Poll for ever; closes the link when cancelled."""
        self._schedule.start(self._clock.now_us())
        try:
            while True:
                self._woken.clear()
                while self._commands:
                    await self._commands.popleft()()
                due = self._schedule.take(self._clock.now_us())
                if due is not None:
                    await self.poll(due.device, due.periods)
                    continue
                wait_us = self._schedule.next_us() - self._clock.now_us()
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(LONGEST_WAIT_S, max(0.0, wait_us / 1e6))):
                        await self._woken.wait()
        finally:
            await self._link.close()

    async def first(self, command: Callable[[PacedLink], Awaitable[T]]) -> T:
        """Let a command have the bus before any further poll; returns or raises what it does."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                result = await command(self._link)
            except Exception as error:  # noqa: BLE001 - it is raised where the command came from
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(result)

        self._commands.append(run)
        self._woken.set()
        return await done

    async def poll(self, device: str, due: frozenset[int] | None = None) -> int | None:
        """Read one device once; return how many readings are told, None if it did not answer.

        A failure is counted and, when it lasts, told.
        """
        polled = self._devices[device]
        began_us = self._clock.monotonic_us()
        poll = await polled.meter.poll(self._link, self._clock, due)
        if poll.refusals or poll.failures:
            await polled.learner.learn(self._link, poll)
        await self._tell_trouble()
        if not is_answered(poll):
            await self._failed(device, poll, self._clock.monotonic_us() - began_us)
            return None
        await self._answered(device, polled)
        samples, falls = polled.plausibility.judge(poll.samples)
        for fall in falls:
            before, after = (decimal_text(c, fall.exponent) for c in (fall.before, fall.after))
            fell = {"point": fall.point, "before": before, "after": after}
            await self._tell(device, "register_fell", fell)
        for change in await polled.learner.changes(samples):
            told = {"point": change.point, "before": change.before, "after": change.after}
            await self._tell(device, "setting_changed", told)
        if polled.reporter is not None:
            samples = polled.reporter.worth_telling(samples)
        certain = self._clock.is_certain()
        self._recorder.add([to_reading(device, sample, certain=certain) for sample in samples])
        return len(samples)

    async def _answered(self, device: str, polled: PolledDevice) -> None:
        now_us = self._clock.now_us()
        self._schedule.answered(device, now_us)
        await polled.learner.answered(self._link.turnaround_s(polled.unit_id))
        if device in self._silent:
            self._silent.discard(device)
            log.info("device_back", device=device, bus=self.bus)
            await polled.learner.came_back(now_us)
            await self._tell(device, "device_back", {"reason": ""})

    async def _failed(self, device: str, poll: Poll, cost_us: int) -> None:
        reason = str(next(iter([*poll.failures.values(), *poll.refusals.values()])))
        log.debug("poll_failed", device=device, bus=self.bus, reason=reason)
        failures = self._schedule.failed(device, self._clock.now_us(), cost_us)
        if failures == SILENT_AFTER:
            self._silent.add(device)
            log.warning("device_silent", device=device, bus=self.bus, reason=reason)
            await self._tell(device, "device_silent", {"reason": reason})

    async def _tell_trouble(self) -> None:
        for trouble in self._trouble.news(self._clock.monotonic_us()):
            log.warning(trouble.kind, bus=self.bus, device=trouble.device, count=trouble.count)
            body: dict[str, EventValue] = {"bus": self.bus, "count": trouble.count}
            await self._tell(trouble.device, trouble.kind, body)

    async def _tell(self, device: str, kind: str, body: Mapping[str, EventValue]) -> None:
        at_us, monotonic_us = self._clock.now_us(), self._clock.monotonic_us()
        await self._recorder.note(Event(device, kind, at_us, monotonic_us, dict(body)))


def is_answered(poll: Poll) -> bool:
    """Whether the device itself said something of use; a gateway's word for silence is none."""
    return any(sample.words for sample in poll.samples)
