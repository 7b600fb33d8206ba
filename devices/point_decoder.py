"""One data point's words to its sample, with everything that can be known beforehand computed."""

import math
import struct
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from devices.data_point import Multiplier
from devices.driver import Quality, Sample
from devices.profile import Profile
from protocols.modbus.plan import Block
from protocols.modbus.registers import RegisterType, codecs, to_count

# Twice the half step of a float32: nearer than this to a half, the shortest decimal decides.
_DOUBT = 1.2e-7
_TINY_DOUBT = 1e-9
_HALF = 0.5


class PointDecoder:
    """Decodes one point at a fixed place in a block's words."""

    __slots__ = (
        "_bits",
        "_double",
        "_end",
        "_exponent",
        "_factor",
        "_highest",
        "_integer_factor",
        "_lowest",
        "_pack",
        "_scale",
        "_sentinels",
        "_start",
        "_terms",
        "_unpack",
        "billing",
        "point",
        "uom",
    )

    def __init__(
        self,
        profile: Profile,
        point: str,
        *,
        offset: int,
        multipliers: Mapping[Multiplier, Decimal],
    ) -> None:
        """A decoder of words[offset:]; a multiplier that is not given counts as 1."""
        wanted = profile.points[point]
        words, value = codecs(wanted.type, profile.order(point))
        product = Decimal(1)
        for name in wanted.multiply_by:
            product *= multipliers.get(name, Decimal(1))
        self.point = point
        self.uom = wanted.uom
        self.billing = wanted.billing
        self._start = offset
        self._end = offset + wanted.word_count
        # where the values begin that are added up, if they are several
        self._terms = tuple(range(offset, self._end, wanted.type.word_count))
        self._pack = words.pack
        self._unpack = value.unpack
        self._scale = wanted.scale * product
        self._exponent = wanted.exponent
        self._double = wanted.type is RegisterType.FLOAT64
        self._bits = 16 * wanted.type.word_count
        self._sentinels = frozenset(wanted.sentinels)
        steps = self._scale.scaleb(-wanted.exponent)
        self._factor = float(steps)
        whole = not wanted.type.is_float and steps == steps.to_integral_value()
        self._integer_factor = int(steps) if whole else 0
        self._lowest: float = -math.inf
        self._highest: float = math.inf
        if wanted.range is not None:
            low = (wanted.range.min * product).scaleb(-wanted.exponent)
            high = (wanted.range.max * product).scaleb(-wanted.exponent)
            self._lowest = int(low.to_integral_value(rounding=ROUND_CEILING))
            self._highest = int(high.to_integral_value(rounding=ROUND_FLOOR))

    def sample(self, block: tuple[int, ...], at_us: int, monotonic_us: int) -> Sample:
        """The point's sample out of the whole words of its block."""
        words = block[self._start : self._end]
        count = self._decoded(words) if len(self._terms) == 1 else self._sum(block)
        quality: Quality = "good"
        if count is None:
            quality = "missing"
        elif not self._lowest <= count <= self._highest:
            quality = "out_of_range"
        return Sample(
            self.point,
            count,
            self._exponent,
            self.uom,
            quality,
            words,
            at_us,
            monotonic_us,
            self.billing,
        )

    def refused(self, at_us: int, monotonic_us: int) -> Sample:
        """The sample of a point whose block the device refused."""
        return Sample(
            self.point,
            None,
            self._exponent,
            self.uom,
            "missing",
            (),
            at_us,
            monotonic_us,
            self.billing,
        )

    def _sum(self, block: tuple[int, ...]) -> int | None:
        width = self._bits // 16
        counts = [self._decoded(block[start : start + width]) for start in self._terms]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def _decoded(self, words: tuple[int, ...]) -> int | None:
        raw = self._unpack(self._pack(*words))[0]
        if self._sentinels and self._pattern(raw) in self._sentinels:
            return None
        if self._integer_factor:
            return int(raw * self._integer_factor)
        return self._count(raw)

    def _count(self, raw: float) -> int | None:
        if not math.isfinite(raw):
            return None
        steps = raw * self._factor
        floor = math.floor(steps) if math.isfinite(steps) else 0
        fraction = steps - floor
        if abs(fraction - _HALF) > abs(steps) * _DOUBT + _TINY_DOUBT:
            return floor + (fraction > _HALF)
        return to_count(
            raw, scale=self._scale, resolution_exponent=self._exponent, double=self._double
        )

    def _pattern(self, raw: float) -> int:
        if isinstance(raw, float):
            return int.from_bytes(struct.pack(">d" if self._double else ">f", raw), "big")
        return raw & ((1 << self._bits) - 1)


def decode_words(
    profile: Profile, function: int, address: int, words: tuple[int, ...]
) -> list[Sample]:
    """Samples, at instant 0, of each point that lies wholly in the words read from `address`.

    A point that is read alone is only there if these are exactly its words. Multipliers are 1.
    """
    block = Block(function, address, len(words))
    samples = []
    for point_id, point in profile.points.items():
        span = profile.span(point_id)
        if not block.holds(span) or (point.read_alone and span.count != block.count):
            continue
        offset = span.address - address
        decoder = PointDecoder(profile, point_id, offset=offset, multipliers={})
        samples.append(decoder.sample(words, 0, 0))
    return samples
