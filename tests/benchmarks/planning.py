"""The planner on 20 real maps at 4 bauds, beside simpler ways and brute force."""

from collections.abc import Callable, Iterator, Sequence

from devices.profile import Profile, load_profile, profile_ids
from protocols.modbus.plan import Block, Ground, Span, grounds, plan
from protocols.modbus.wire import Wire
from tests.benchmarks.measure import Figure, measured

MAPS = 20
BAUDS = (2400, 9600, 19200, 115200)
GAP_LIMIT = 50
# 2 ** 13 partitions of the points of a function
MOST_POINTS = 14
BRUTE = f"brute force on the first {MOST_POINTS} points"

Way = Callable[[list[Span], Ground, Wire], list[Block]]


def run() -> list[Figure]:
    """Return the planning time per map; `more` has bus time and how much more the others take."""
    profiles = [load_profile(name) for name in profile_ids()[:MAPS]]
    whole = [_Map(profile) for profile in profiles]
    small = [_Map(profile, MOST_POINTS) for profile in profiles]
    figures: list[Figure] = []
    for baud in BAUDS:
        wire = Wire(baud=baud)
        with measured("plan", f"{baud}: ours", len(whole)) as ours:
            blocks = [each.plan(wire) for each in whole]
        times = [_seconds(some, wire) for some in blocks]
        ours.more = f"{1000 * sum(times):.1f} ms on the bus for all {len(whole)} maps"
        figures.append(ours)
        figures += [_way(name, way, whole, wire, times) for name, way in WAYS.items()]
        times = [_seconds(each.plan(wire), wire) for each in small]
        figures.append(_way(BRUTE, _brute, small, wire, times))
    return figures


def _way(name: str, way: Way, maps: list["_Map"], wire: Wire, times: list[float]) -> Figure:
    with measured("plan", f"{wire.baud}: {name}", len(maps)) as figure:
        blocks = [each.by(way, wire) for each in maps]
    took = [_seconds(some, wire) for some in blocks]
    ratios = [theirs / own for theirs, own in zip(took, times, strict=True)]
    figure.more = (
        f"{1000 * sum(took):.1f} ms, x {sum(took) / sum(times):.4f} of ours"
        f" (by map {min(ratios):.4f} .. {max(ratios):.4f})"
    )
    return figure


class _Map:
    """A profile's points, only the first `most` where brute force would not end."""

    def __init__(self, profile: Profile, most: int | None = None) -> None:
        self._spans = sorted({profile.span(point) for point in profile.points})[:most]
        self._profile = profile

    def plan(self, wire: Wire) -> list[Block]:
        profile = self._profile
        return plan(
            self._spans,
            max_registers=profile.max_registers,
            wire=wire,
            even=profile.rules.even,
            readable=profile.readable(),
            alone=profile.alone(),
            forbidden=profile.untouchable(),
        )

    def by(self, way: Way, wire: Wire) -> list[Block]:
        profile = self._profile
        return [
            block
            for spans, ground in grounds(
                self._spans,
                max_registers=profile.max_registers,
                even=profile.rules.even,
                readable=profile.readable(),
                alone=profile.alone(),
                forbidden=profile.untouchable(),
            )
            for block in way(spans, ground, wire)
        ]


def _one_by_one(spans: list[Span], ground: Ground, _: Wire) -> list[Block]:
    return [_hull([span], ground) for span in spans]


def _contiguous(spans: list[Span], ground: Ground, _: Wire) -> list[Block]:
    return _merged(spans, ground, gap=0)


def _greedy(spans: list[Span], ground: Ground, _: Wire) -> list[Block]:
    return _merged(spans, ground, gap=GAP_LIMIT)


def _brute(spans: list[Span], ground: Ground, wire: Wire) -> list[Block]:
    plans = ([_hull(group, ground) for group in groups] for groups in _partitions(spans, ground))
    return min(plans, key=lambda blocks: _seconds(blocks, wire))


def _merged(spans: Sequence[Span], ground: Ground, *, gap: int) -> list[Block]:
    groups: list[list[Span]] = []
    for span in spans:
        if groups:
            last = groups[-1]
            near = span.address - max(other.end for other in last) <= gap
            if near and _fits([*last, span], ground):
                last.append(span)
                continue
        groups.append([span])
    return [_hull(group, ground) for group in groups]


def _partitions(spans: list[Span], ground: Ground) -> Iterator[list[list[Span]]]:
    if not spans:
        yield []
        return
    for size in range(1, len(spans) + 1):
        if not _fits(spans[:size], ground):
            return
        for rest in _partitions(spans[size:], ground):
            yield [spans[:size], *rest]


def _fits(group: list[Span], ground: Ground) -> bool:
    """Whether one read may hold the group, judged register by register."""
    block = _hull(group, ground)
    touched = set(range(block.address, block.address + block.count))
    inside = set(range(group[0].address, max(span.end for span in group)))
    known = len(group) == 1 or ground.allowed is None or inside <= ground.allowed
    return block.count <= ground.limit and known and touched.isdisjoint(ground.barred)


def _hull(group: Sequence[Span], ground: Ground) -> Block:
    end = max(span.end for span in group)
    return ground.block(group[0].function, group[0].address, end)


def _seconds(blocks: Sequence[Block], wire: Wire) -> float:
    return sum(wire.read_s(block.count, function=block.function) for block in blocks)


WAYS: dict[str, Way] = {
    "one read per value": _one_by_one,
    "contiguous only": _contiguous,
    f"greedy, holes up to {GAP_LIMIT}": _greedy,
}
