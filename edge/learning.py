"""What the gateway learns of each device while it polls: its limits, its pace, its settings."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import structlog

from devices.calibration import Limits, Search, search
from devices.driver import Link, Poll, Sample
from devices.modbus_meter import ModbusMeter
from edge.journal import Journal
from protocols.delivery.envelope import LANE_EVENTS
from protocols.errors import DeviceError, ProtocolError
from protocols.modbus.plan import MAX_REGISTERS, Block, Span
from protocols.modbus.requests import ILLEGAL_ADDRESS, ILLEGAL_VALUE
from protocols.modbus.wire import Wire

# a search that asked so often has met a device that answers at random
MOST_READS = 60
# a device whose answers were missed now and then is not asked to prove its limits more often
RELEARN_AFTER_US = 3600 * 1_000_000
# a smaller difference of turnaround changes no plan
_NOTICED_S = 0.005

log = structlog.get_logger("learning")


class Notes(msgspec.Struct, frozen=True):
    """What is kept of a device between two runs."""

    profile: str
    max_registers: int = MAX_REGISTERS
    holes: tuple[tuple[int, int, int], ...] = ()
    lacking: tuple[tuple[int, int, int], ...] = ()
    turnaround_ms: int | None = None
    settings: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Change:
    """A setting of a meter that is not what it was."""

    point: str
    before: str
    after: str


class Learner:
    """One device's meter, planned within what is known of it; notes are kept in the journal."""

    def __init__(
        self, device: str, meter: ModbusMeter, *, wire: Wire | None, journal: Journal | None
    ) -> None:
        """Without a journal nothing outlives the run."""
        self.device = device
        self._wire = wire
        self._journal = journal
        self._notes = self._kept(meter.profile.id)
        self._plain = meter
        points = meter.profile.points
        self._watches = any(points[point].watched for point in meter.points)
        self._seen: dict[str, str] = {}
        self._failed = 0
        self._relearnt_us: int | None = None
        limits = _limits(self._notes)
        if wire is not None and self._notes.turnaround_ms is not None:
            self._wire = replace(wire, turnaround_s=self._notes.turnaround_ms / 1000)
        known = limits == Limits() and self._wire == wire
        self.meter = meter if known else meter.within(limits, self._wire)

    async def learn(self, link: Link, poll: Poll) -> None:
        """Find out why blocks of a poll were refused, or met by silence, and plan around it."""
        found = Limits()
        meter = self.meter
        for block, error in poll.refusals.items():
            if error.code in (ILLEGAL_ADDRESS, ILLEGAL_VALUE):
                found |= await self._searched(link, meter.spans_in(block))
        for block in poll.failures:
            spans = meter.spans_in(block)
            if len(spans) > 1 and (poll.samples or await self._answers_alone(link, spans)):
                found |= await self._searched(link, spans)
        await self._keep(self.meter.limits | found)

    async def _answers_alone(self, link: Link, spans: Sequence[Span]) -> bool:
        # silence to a long read is only a limit if a short one is answered; asked the second time
        self._failed += 1
        if self._failed != 2:  # noqa: PLR2004 - the first may be chance, the third is a dead device
            return False
        first = min(spans, key=lambda span: span.count)
        return await self._is_answered(link, Block(first.function, first.address, first.count))

    async def answered(self, turnaround_s: float | None) -> None:
        """Take note that the device answers, and how long it thinks; plan anew if that differs."""
        self._failed = 0
        wire = self._wire
        if wire is None or turnaround_s is None:
            return
        if abs(turnaround_s - wire.turnaround_s) > max(_NOTICED_S, wire.turnaround_s / 3):
            self._wire = replace(wire, turnaround_s=turnaround_s)
            self.meter = self._plain.within(self.meter.limits, self._wire)
            turnaround_ms = round(1000 * turnaround_s)
            log.info("turnaround", device=self.device, turnaround_ms=turnaround_ms)
            await self._write(msgspec.structs.replace(self._notes, turnaround_ms=turnaround_ms))

    async def came_back(self, now_us: int) -> None:
        """Forget the limits of a device that may have been restarted, or changed for another."""
        if self._relearnt_us is not None and now_us - self._relearnt_us < RELEARN_AFTER_US:
            return
        self._relearnt_us = now_us
        if self.meter.limits != Limits():
            log.info("limits_forgotten", device=self.device)
            await self._keep(Limits())

    async def changes(self, samples: Sequence[Sample]) -> list[Change]:
        """Watched settings that are not what they were when last read, in this run or before."""
        if not self._watches:
            return []
        changed = []
        settings = dict(self._notes.settings)
        for sample in samples:
            if not self._plain.profile.points[sample.point].watched or sample.quality != "good":
                continue
            after, before = str(sample.value), settings.get(sample.point)
            # one odd answer is no new setting: it has to be read twice
            again = self._seen.get(sample.point) == after
            self._seen[sample.point] = after
            if before is not None and before != after and again:
                changed.append(Change(sample.point, before, after))
            if before is None or again:
                settings[sample.point] = after
        if settings != self._notes.settings:
            await self._write(msgspec.structs.replace(self._notes, settings=settings))
        return changed

    async def _searched(self, link: Link, spans: Sequence[Span]) -> Limits:
        steps: Search = search(spans, even=self.meter.profile.rules.even)
        try:
            block = next(steps)
            for _ in range(MOST_READS):
                block = steps.send(await self._is_answered(link, block))
        except StopIteration as end:
            found: Limits = end.value
            return found
        return Limits()

    async def _is_answered(self, link: Link, block: Block) -> bool:
        meter = self.meter
        try:
            await link.transact(
                meter.unit_id,
                block.function,
                block.address,
                block.count,
                patience_s=meter.patience_s,
            )
        except DeviceError as error:
            # busy, or a gateway's word for silence: says nothing of this block
            return error.code not in (ILLEGAL_ADDRESS, ILLEGAL_VALUE)
        except ProtocolError:
            return False
        return True

    async def _keep(self, limits: Limits) -> None:
        if limits == self.meter.limits:
            return
        log.info(
            "limits",
            device=self.device,
            max_registers=limits.max_registers,
            holes=len(limits.holes),
            lacking=len(limits.lacking),
        )
        self.meter = self._plain.within(limits, self._wire)
        await self._write(
            msgspec.structs.replace(
                self._notes,
                max_registers=limits.max_registers,
                holes=_places(limits.holes),
                lacking=_places(limits.lacking),
            )
        )

    def _kept(self, profile: str) -> Notes:
        text = self._journal.mark(self._key) if self._journal is not None else None
        notes = Notes(profile) if text is None else msgspec.json.decode(text, type=Notes)
        # another profile has other registers: what was learnt of the last one is worth nothing
        return notes if notes.profile == profile else Notes(profile)

    async def _write(self, notes: Notes) -> None:
        self._notes = notes
        if self._journal is not None:
            marks = {self._key: msgspec.json.encode(notes).decode()}
            await asyncio.to_thread(self._journal.append, LANE_EVENTS, [], marks=marks)

    @property
    def _key(self) -> str:
        return f"learnt:{self.device}"


def _limits(notes: Notes) -> Limits:
    return Limits(
        notes.max_registers,
        frozenset(Span(*place) for place in notes.holes),
        frozenset(Span(*place) for place in notes.lacking),
    )


def _places(spans: frozenset[Span]) -> tuple[tuple[int, int, int], ...]:
    return tuple(sorted((span.function, span.address, span.count) for span in spans))
