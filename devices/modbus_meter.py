"""A Modbus meter of any profile: which blocks to read, and what they say."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import cast, get_args

from devices.data_point import Multiplier
from devices.driver import Clock, Link, Sample
from devices.point_decoder import PointDecoder
from devices.profile import Profile
from protocols.errors import ConfigError, DeviceError
from protocols.modbus.plan import Block, plan
from protocols.modbus.wire import Wire

Answer = Callable[[int, int, int, int], tuple[int, ...]]


class ModbusMeter:
    """One installed meter; `blocks` is its plan, made once for the wire it hangs on."""

    def __init__(
        self,
        profile: Profile,
        unit_id: int,
        points: Sequence[str],
        multipliers: Mapping[str, Decimal] | None = None,
        *,
        wire: Wire | None = None,
    ) -> None:
        """ConfigError if a point or multiplier is unknown; without a wire the plan suits TCP."""
        multipliers = multipliers or {}
        _check(profile, points, multipliers)
        self.profile = profile
        self.unit_id = unit_id
        self.points = tuple(dict.fromkeys(points))
        self.min_gap_s = profile.rules.min_gap_ms / 1000
        self.timeout_s = None if profile.timeout_ms is None else profile.timeout_ms / 1000
        self.blocks: tuple[Block, ...] = tuple(
            plan(
                [profile.span(point) for point in self.points],
                max_registers=profile.max_registers,
                wire=wire,
                even=profile.rules.even,
                readable=profile.readable(),
                alone=profile.alone(),
                forbidden=profile.untouchable(),
            )
        )
        homes = _homes(profile, self.points, self.blocks)
        ratios = cast("Mapping[Multiplier, Decimal]", multipliers)
        self._jobs = tuple(
            (block, tuple(_decoders(profile, block, homes[block], ratios))) for block in self.blocks
        )

    async def read(self, link: Link, clock: Clock) -> list[Sample]:
        """A sample per point; LinkError and WireError end the read, a refused block is missing.

        DeviceError if every block was refused.
        """
        samples: list[Sample] = []
        refusals: list[DeviceError] = []
        for block, decoders in self._jobs:
            try:
                words = await link.transact(
                    self.unit_id, block.function, block.address, block.count
                )
            except DeviceError as error:
                refusals.append(error)
                samples += _refused(decoders, clock)
                continue
            at_us, monotonic_us = clock.now_us(), clock.monotonic_us()
            samples += [decoder.sample(words, at_us, monotonic_us) for decoder in decoders]
        if refusals and len(refusals) == len(self._jobs):
            raise refusals[0]
        return samples

    def read_now(self, answer: Answer, clock: Clock) -> list[Sample]:
        """As `read`, through `answer(unit_id, function, address, count)` that never waits."""
        samples: list[Sample] = []
        refusals: list[DeviceError] = []
        unit_id = self.unit_id
        for block, decoders in self._jobs:
            try:
                words = answer(unit_id, block.function, block.address, block.count)
            except DeviceError as error:
                refusals.append(error)
                samples += _refused(decoders, clock)
                continue
            at_us, monotonic_us = clock.now_us(), clock.monotonic_us()
            for decoder in decoders:
                samples.append(decoder.sample(words, at_us, monotonic_us))
        if refusals and len(refusals) == len(self._jobs):
            raise refusals[0]
        return samples

    def decode(
        self, block: Block, words: tuple[int, ...], *, at_us: int, monotonic_us: int
    ) -> list[Sample]:
        """Samples of the points in one block's words; KeyError if the plan has no such block."""
        decoders = dict(self._jobs)[block]
        return [decoder.sample(words, at_us, monotonic_us) for decoder in decoders]


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


def _homes(
    profile: Profile, points: Sequence[str], blocks: Sequence[Block]
) -> dict[Block, list[str]]:
    homes: dict[Block, list[str]] = {block: [] for block in blocks}
    for point in points:
        span = profile.span(point)
        # the smallest, so that a point that is read alone comes from its own request
        home = min((block for block in blocks if block.holds(span)), key=lambda b: b.count)
        homes[home].append(point)
    return homes


def _decoders(
    profile: Profile, block: Block, points: Sequence[str], multipliers: Mapping[Multiplier, Decimal]
) -> list[PointDecoder]:
    return [
        PointDecoder(
            profile,
            point,
            offset=profile.span(point).address - block.address,
            multipliers=multipliers,
        )
        for point in points
    ]


def _refused(decoders: Sequence[PointDecoder], clock: Clock) -> list[Sample]:
    at_us, monotonic_us = clock.now_us(), clock.monotonic_us()
    return [decoder.refused(at_us, monotonic_us) for decoder in decoders]
