"""A Modbus meter of any profile: which blocks to read, and what they say."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast, get_args

from devices.calibration import Limits
from devices.data_point import Multiplier
from devices.driver import Clock, Link, Poll, Sample
from devices.point_decoder import PointDecoder
from devices.profile import Profile
from protocols.errors import ConfigError, DeviceError, LinkError, WireError
from protocols.modbus.plan import Block, Span
from protocols.modbus.rounds import Round, plan_rounds
from protocols.modbus.wire import Wire

Answer = Callable[[int, int, int, int], tuple[int, ...]]

# How often what bills is read again until two reads agree; a register seldom moves in between.
_READINGS = 3
_PERIOD_S = 60
# A device that answered once is asked on until so many of its blocks were met by silence.
_SILENCES = 2


@dataclass(frozen=True, slots=True)
class _Job:
    block: Block
    decoders: tuple[PointDecoder, ...]
    bills: bool


class ModbusMeter:
    """One installed meter; `rounds` is its plan, made once for the wire it hangs on."""

    def __init__(
        self,
        profile: Profile,
        unit_id: int,
        points: Sequence[str],
        multipliers: Mapping[str, Decimal] | None = None,
        *,
        wire: Wire | None = None,
        periods: Mapping[str, Collection[int]] | None = None,
        limits: Limits | None = None,
        double_read: bool = False,
    ) -> None:
        """ConfigError if a point or multiplier is unknown; without a wire the plan suits TCP.

        `periods` are the seconds between reads by point, 60 where not given; `limits` what this
        meter was found to refuse; `double_read` reads what bills until two reads agree.
        """
        multipliers = multipliers or {}
        _check(profile, points, multipliers)
        self.profile = profile
        self.unit_id = unit_id
        self.points = tuple(dict.fromkeys(points))
        self.periods = {
            point: frozenset((periods or {}).get(point, (_PERIOD_S,))) for point in self.points
        }
        self.limits = limits or Limits()
        self.min_gap_s = profile.rules.min_gap_ms / 1000
        self.patience_s = 0.0 if profile.timeout_ms is None else profile.timeout_ms / 1000
        self._double_read = double_read
        self._multipliers = multipliers
        self._ratios = cast("Mapping[Multiplier, Decimal]", multipliers)
        self.rounds: tuple[Round, ...] = tuple(self._plan(wire))
        self.blocks: tuple[Block, ...] = tuple(
            sorted({block for each in self.rounds for block in each.blocks})
        )
        self._lacking = tuple(
            PointDecoder(profile, point, offset=0, multipliers=self._ratios)
            for point in self.points
            if profile.span(point) in self.limits.lacking
        )
        self._homes = self._housed()
        self._jobs: dict[frozenset[int] | None, tuple[_Job, ...]] = {}

    @property
    def bills(self) -> bool:
        """Whether any of its points does."""
        return any(self.profile.points[point].billing for point in self.points)

    def within(self, limits: Limits, wire: Wire | None) -> "ModbusMeter":
        """This meter with its reads planned anew."""
        return ModbusMeter(
            self.profile,
            self.unit_id,
            self.points,
            self._multipliers,
            wire=wire,
            periods=self.periods,
            limits=limits,
            double_read=self._double_read,
        )

    async def read(self, link: Link, clock: Clock) -> list[Sample]:
        """A sample per point; LinkError and WireError end the read, a refused block is missing.

        DeviceError if every block was refused.
        """
        poll = await self.poll(link, clock)
        if poll.failures:
            raise next(iter(poll.failures.values()))
        if poll.refusals and len(poll.refusals) == len(self._jobs_of(None)):
            raise next(iter(poll.refusals.values()))
        return poll.samples

    async def poll(self, link: Link, clock: Clock, due: frozenset[int] | None = None) -> Poll:
        """Read the points whose period is in `due` (all of them for None), and say what failed.

        A device that answered nothing is not asked further; what one block failed to give does
        not take the others' samples away.
        """
        poll = Poll([], {}, {})
        for job in self._jobs_of(due):
            block = job.block
            try:
                samples = await self._read_job(link, clock, job)
            except DeviceError as error:
                poll.refusals[block] = error
                at_us, monotonic_us = clock.now_us(), clock.monotonic_us()
                samples = [decoder.refused(at_us, monotonic_us) for decoder in job.decoders]
            except (LinkError, WireError) as error:
                poll.failures[block] = error
                if not poll.samples or len(poll.failures) >= _SILENCES:
                    break
                continue
            poll.samples.extend(samples)
        if poll.samples:
            at_us, monotonic_us = clock.now_us(), clock.monotonic_us()
            poll.samples.extend(
                decoder.refused(at_us, monotonic_us)
                for decoder in self._lacking
                if due is None or self.periods[decoder.point] & due
            )
        return poll

    def read_now(self, answer: Answer, clock: Clock) -> list[Sample]:
        """As `read`, through `answer(unit_id, function, address, count)` that never waits."""
        samples: list[Sample] = []
        refusals: list[DeviceError] = []
        unit_id = self.unit_id
        jobs = self._jobs_of(None)
        for job in jobs:
            block = job.block
            try:
                words = answer(unit_id, block.function, block.address, block.count)
            except DeviceError as error:
                refusals.append(error)
                at_us, monotonic_us = clock.now_us(), clock.monotonic_us()
                samples += [decoder.refused(at_us, monotonic_us) for decoder in job.decoders]
                continue
            at_us, monotonic_us = clock.now_us(), clock.monotonic_us()
            for decoder in job.decoders:
                samples.append(decoder.sample(words, at_us, monotonic_us))
        if refusals and len(refusals) == len(jobs):
            raise refusals[0]
        return samples

    def decode(
        self, block: Block, words: tuple[int, ...], *, at_us: int, monotonic_us: int
    ) -> list[Sample]:
        """Samples of the points in one block's words; KeyError if the plan has no such block."""
        decoders = {job.block: job.decoders for job in self._jobs_of(None)}[block]
        return [decoder.sample(words, at_us, monotonic_us) for decoder in decoders]

    def spans_in(self, block: Block) -> list[Span]:
        """The registers of the points that one block of the plan is read for."""
        return [self.profile.span(point) for point, home in self._homes.items() if home == block]

    async def _read_job(self, link: Link, clock: Clock, job: _Job) -> list[Sample]:
        samples = await self._read_block(link, clock, job)
        if not (job.bills and self._double_read):
            return samples
        reads = [samples]
        for _ in range(_READINGS):
            samples = await self._read_block(link, clock, job)
            if any(all(map(_agree, before, samples)) for before in reads):
                return samples
            reads.append(samples)
        message = f"unit {self.unit_id}: two reads of {job.block.address:#06x} never agree"
        raise WireError(message)

    async def _read_block(self, link: Link, clock: Clock, job: _Job) -> list[Sample]:
        block = job.block
        words = await link.transact(
            self.unit_id, block.function, block.address, block.count, patience_s=self.patience_s
        )
        at_us, monotonic_us = clock.now_us(), clock.monotonic_us()
        return [decoder.sample(words, at_us, monotonic_us) for decoder in job.decoders]

    def _plan(self, wire: Wire | None) -> list[Round]:
        profile, limits = self.profile, self.limits
        spans = {point: profile.span(point) for point in self.points}
        wanted = {point: span for point, span in spans.items() if span not in limits.lacking}
        if not wanted:
            # a device that refuses everything has another fault: go on asking
            wanted = spans
        widest = max(span.count for span in wanted.values())
        return plan_rounds(
            [
                (span, period_s)
                for point, span in wanted.items()
                for period_s in sorted(self.periods[point])
            ],
            max_registers=max(widest, min(profile.max_registers, limits.max_registers)),
            wire=wire,
            even=profile.rules.even,
            readable=profile.readable(),
            alone=profile.alone(),
            forbidden=[*profile.untouchable(), *limits.holes],
        )

    def _housed(self) -> dict[str, Block]:
        homes: dict[str, Block] = {}
        for point in self.points:
            span, periods = self.profile.span(point), self.periods[point]
            holding = [
                block
                for each in self.rounds
                if any(period_s % each.period_s == 0 for period_s in periods)
                for block in each.blocks
                if block.holds(span)
            ]
            # the smallest, so that a point that is read alone comes from its own request
            if holding:
                homes[point] = min(holding, key=lambda block: block.count)
        return homes

    def _jobs_of(self, due: frozenset[int] | None) -> tuple[_Job, ...]:
        jobs = self._jobs.get(due)
        if jobs is None:
            jobs = self._jobs[due] = tuple(self._make_jobs(due))
        return jobs

    def _make_jobs(self, due: frozenset[int] | None) -> Iterator[_Job]:
        points = [point for point in self._homes if due is None or self.periods[point] & due]
        for block in _varied(sorted({self._homes[point] for point in points})):
            decoders = tuple(
                PointDecoder(
                    self.profile,
                    point,
                    offset=self.profile.span(point).address - block.address,
                    multipliers=self._ratios,
                )
                for point in points
                if self._homes[point] == block
            )
            yield _Job(block, decoders, any(decoder.billing for decoder in decoders))


def _check(profile: Profile, points: Sequence[str], multipliers: Mapping[str, Decimal]) -> None:
    faults = [
        f"points: {point!r}: allowed for {profile.id} are {', '.join(profile.points)}"
        for point in points
        if point not in profile.points
    ]
    names = get_args(Multiplier)
    for name, ratio in multipliers.items():
        if name not in names:
            faults.append(f"multipliers: {name!r}: allowed are {', '.join(names)}")
        elif not (ratio.is_finite() and ratio > 0):
            faults.append(f"multipliers.{name}: {ratio}: allowed are numbers above 0")
    if not points:
        faults.append("points: []: at least one point")
    if faults:
        raise ConfigError(*faults)


def _varied(blocks: list[Block]) -> list[Block]:
    """Blocks in an order in which neighbours differ in length, where that can be.

    On a serial line an answer that comes late is then no answer to the next read.
    """
    ordered: list[Block] = []
    rest = list(blocks)
    while rest:
        last = ordered[-1] if ordered else None
        follower = next(
            (block for block in rest if last is None or block.count != last.count), rest[0]
        )
        rest.remove(follower)
        ordered.append(follower)
    return ordered


def _agree(before: Sample, after: Sample) -> bool:
    return not after.billing or before.count == after.count
