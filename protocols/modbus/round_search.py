"""The exact search for the blocks, each with its period, that load a bus least."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

from protocols.modbus.plan import Block, Ground, Span
from protocols.modbus.wire import Wire

# without a wire a request counts for more than any number of registers, whatever their weights
_REQUEST = 1 << 80
_BITS = frozenset({1, 2})
_FAR = 1 << 30
_WIDTH = 8
# sums of the same times in another order differ by less
_NOISE = 1e-9


@dataclass(frozen=True, slots=True)
class _Open:
    """A block that may still grow: it holds `start` .. `end` - 1 and may end at `reach`."""

    start: int
    end: int
    reach: int


@dataclass(frozen=True, slots=True)
class _Step:
    """How a state came to be: the block of class `place` now holds `start` .. `end` - 1."""

    before: "_Step | None"
    place: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Layer:
    """Blocks of weight `least` or more must hold these items; `rest[n]` is their cost from n on."""

    least: int
    weight: int
    members: list[int]
    rest: list[float]
    known: dict[tuple[int, int, int], float]


_State = tuple[_Open | None, ...]
_Costs = dict[_State, tuple[float, _Step | None]]


class Search:
    """One group of spans with their periods, in order of address, and candidate block periods.

    The search goes over the spans; its state is the block that each period class has open, whose
    cost so far is paid. One open block per class is enough, for the reason that `plan` gives;
    blocks of different classes may lie inside and across each other, which is how a slow block
    spans a fast one. States are dropped that another cannot do worse than, or whose bound exceeds
    what a narrow search has found: else their number grows with the power of the classes.
    """

    def __init__(
        self,
        items: Sequence[tuple[Span, int]],
        ground: Ground,
        wire: Wire | None,
        periods: Sequence[int],
    ) -> None:
        """ValueError if a span lies in no possible block; `items` must not be empty."""
        self._items = items
        self._ground = ground
        self._periods = periods
        self._function = items[0][0].function
        # loads are counted over the common period, so that without a wire they are whole numbers
        common = lcm(*periods)
        self._weights = [common // period_s for period_s in periods]
        self._price = [
            _REQUEST + count if wire is None else wire.read_s(count, function=self._function)
            for count in range(ground.limit + 1)
        ]
        # bits travel in whole bytes: two blocks that grow alike may differ by one byte
        self._rounding: float = 0
        if wire is not None and self._function in _BITS:
            self._rounding = wire.character_s
        self._reaches = [ground.reach(span) for span, _ in items]
        self._layers = self._layered()

    def cheapest(self) -> list[tuple[int, Block]]:
        """The (period, block) pairs of least load that hold every span at its period."""
        most, step = self._sweep(None)
        if self._bound(0, (None,) * len(self._periods)) < most:
            _, step = self._sweep(most if isinstance(most, int) else most * (1 + _NOISE))
        ends: dict[tuple[int, int], int] = {}
        while step is not None:
            # the last step of a block comes first
            ends.setdefault((step.place, step.start), step.end)
            step = step.before
        return [
            (self._periods[place], self._ground.block(self._function, start, end))
            for (place, start), end in ends.items()
        ]

    def _sweep(self, most: float | None) -> tuple[float, _Step | None]:
        """Least cost and its last step; exact among what costs `most` or less, else narrow."""
        costs: _Costs = {(None,) * len(self._periods): (0, None)}
        for number in range(len(self._items)):
            following = self._following(number)
            grown = self._grown(costs, number, following)
            bounds = {
                state: cost + self._bound(number + 1, state) for state, (cost, _) in grown.items()
            }
            if most is None:
                best = sorted(grown, key=bounds.__getitem__)[:_WIDTH]
                costs = {state: grown[state] for state in best}
            else:
                promising = {
                    state: found for state, found in grown.items() if bounds[state] <= most
                }
                costs = self._undominated(promising, following)
        return min(costs.values(), key=lambda found: found[0])

    def _grown(self, costs: _Costs, number: int, following: int) -> _Costs:
        span, period_s = self._items[number]
        places = [n for n, other in enumerate(self._periods) if period_s % other == 0]
        grown: _Costs = {}
        for state, (cost, step) in costs.items():
            if any(_holds(state[place], span) for place in places):
                _keep(grown, self._trimmed(state, following), cost, step)
                continue
            for place in places:
                before = state[place]
                fresh = _Open(span.address, span.end, self._reaches[number])
                choices: list[tuple[_Open, _Open | None]] = [(fresh, None)]
                if before is not None and span.end <= before.reach:
                    end = max(before.end, span.end)
                    choices.append((_Open(before.start, end, before.reach), before))
                for block, paid in choices:
                    more = self._cost(block) - (self._cost(paid) if paid else 0)
                    after = (*state[:place], block, *state[place + 1 :])
                    taken = _Step(step, place, block.start, block.end)
                    total = cost + more * self._weights[place]
                    _keep(grown, self._trimmed(after, following), total, taken)
        return grown

    def _following(self, number: int) -> int:
        behind = number + 1
        return self._items[behind][0].address if behind < len(self._items) else _FAR

    def _cost(self, block: _Open) -> float:
        return self._price[self._ground.block(self._function, block.start, block.end).count]

    def _fresh(self, address: int, end: int) -> float:
        """What a block from `address` costs at most that can do all that one up to `end` can."""
        return self._cost(_Open(address, max(end, address + 1), 0)) + self._rounding

    def _trimmed(self, state: _State, following: int) -> _State:
        return tuple(
            None if block is None or self._is_past(block, following) else block for block in state
        )

    def _is_past(self, block: _Open, following: int) -> bool:
        # it cannot hold what follows, or a fresh block does so at no more
        if block.reach <= following:
            return True
        longer = _Open(block.start, max(block.end, following + 1), block.reach)
        return self._fresh(following, 0) <= self._cost(longer) - self._cost(block)

    def _undominated(self, costs: _Costs, following: int) -> _Costs:
        known: list[dict[tuple[_Open | None, _Open], float]] = [{} for _ in self._weights]
        kept: list[tuple[_State, float]] = []
        for state, (cost, _) in sorted(costs.items(), key=lambda found: found[1][0]):
            for other, paid in kept:
                for place, theirs in enumerate(state):
                    if theirs is None:
                        continue
                    key = (other[place], theirs)
                    more = known[place].get(key)
                    if more is None:
                        more = self._catching_up(*key, following) * self._weights[place]
                        known[place][key] = more
                    paid += more  # noqa: PLW2901 - the sum starts at what was paid
                    if paid > cost:
                        break
                else:
                    break
            else:
                kept.append((state, cost))
        return {state: costs[state] for state, _ in kept}

    def _catching_up(self, mine: _Open | None, theirs: _Open, following: int) -> float:
        """What the owner of `mine` must pay at most to do whatever the owner of `theirs` can."""
        if mine == theirs:
            return 0
        fresh = self._fresh(following, theirs.end)
        if mine is None or mine.reach < theirs.reach:
            return fresh
        longer = _Open(mine.start, max(mine.end, theirs.end), mine.reach)
        return min(fresh, self._cost(longer) - self._cost(mine) + self._rounding)

    def _layered(self) -> list[_Layer]:
        # A block of weight w counts as one of every layer up to w; each layer is a plan of one
        # class, and no choice is cheaper than the sum of the layers' own cheapest plans.
        size = len(self._items)
        weights = dict(zip(self._periods, self._weights, strict=True))
        layers: list[_Layer] = []
        below = 0
        for least in sorted(set(self._weights)):
            members = [n for n, (_, period) in enumerate(self._items) if weights[period] >= least]
            rest: list[float] = [0] * (size + 1)
            for first in range(size - 1, -1, -1):
                if weights[self._items[first][1]] < least:
                    rest[first] = rest[first + 1]
                    continue
                start = self._items[first][0].address
                choices = self._extended(members, first, (start, self._reaches[first]))
                rest[first] = min(
                    self._cost(_Open(start, end, 0)) + rest[behind] for end, behind in choices
                )
            layers.append(_Layer(least, least - below, members, rest, {}))
            below = least
        return layers

    def _extended(
        self, members: list[int], first: int, block: tuple[int, int]
    ) -> list[tuple[int, int]]:
        """(end, first item behind) of each way to take members from `first` on into a block."""
        end, reach = block
        choices: list[tuple[int, int]] = []
        for number in members:
            if number < first:
                continue
            end = max(end, self._items[number][0].end)
            if end > reach:
                break
            choices.append((end, number + 1))
        return choices

    def _bound(self, number: int, state: _State) -> float:
        """What the items from `number` on cost at least, given the open blocks."""
        total: float = 0
        for layer in self._layers:
            end = reach = -1
            for block, weight in zip(state, self._weights, strict=True):
                if block is not None and weight >= layer.least:
                    end, reach = max(end, block.end), max(reach, block.reach)
            key = (number, end, reach)
            rest = layer.known.get(key)
            if rest is None:
                rest = layer.known[key] = self._rest(layer, *key)
            total += layer.weight * rest
        return total

    def _rest(self, layer: _Layer, number: int, end: int, reach: int) -> float:
        # one block with the furthest end and reach of all can do whatever they can
        least = layer.rest[number]
        edge = end + end % 2 if self._ground.even else end
        for longer, behind in self._extended(layer.members, number, (end, reach)):
            last = longer + longer % 2 if self._ground.even else longer
            growth = self._price[last - edge] - self._price[0] - self._rounding
            least = min(least, max(0, growth) + layer.rest[behind])
        return least


def _holds(block: _Open | None, span: Span) -> bool:
    return block is not None and block.start <= span.address and span.end <= block.end


def _keep(costs: _Costs, state: _State, cost: float, step: _Step | None) -> None:
    known = costs.get(state)
    if known is None or cost < known[0]:
        costs[state] = (cost, step)
