"""I12: what one gateway's flood costs the others, by two runs of the same world."""

from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation import faults
from tests.simulation.faults import Plan
from tests.simulation.ledger import Violation

if TYPE_CHECKING:
    from tests.simulation.gateway import GatewayNode
    from tests.simulation.wire_format import Place

ONE_IN = 40
FLOODER = "gw-1"
_GATEWAYS = 3
_FLOODS = 2
_BATCHES = 25
_LASTS_S = 16.0
_LATENCY_S = 0.02
# a group's work grows with it: so a flood is felt at all
_BATCH_COST_S = 0.02


class Stopwatch:
    """Times each batch from when it is first sent until its gateway hears that it is held."""

    def __init__(self) -> None:
        self.took_s: list[float] = []
        self._sent_s: dict[str, dict[tuple[int, int, int], float]] = {}

    def sent(self, node: "GatewayNode", place: "Place", now_s: float) -> None:
        """Begin to count, once for each place."""
        if node.gateway != FLOODER:
            waiting = self._sent_s.setdefault(node.name, {})
            waiting.setdefault((place.lane, place.epoch, place.seq), now_s)

    def told(self, node: "GatewayNode", answer: dict[str, Any], now_s: float) -> None:
        """Stop counting for what this answer says is held."""
        waiting = self._sent_s.get(node.name, {})
        if answer["type"] != "ack":
            return
        have = {n for low, high in answer["have"] for n in range(low, high + 1)}
        for (lane, epoch, seq), sent_s in list(waiting.items()):
            same = (lane, epoch) == (answer["lane"], answer["epoch"])
            if same and (seq <= answer["through"] or seq in have) and sent_s >= 0:
                self.took_s.append(now_s - sent_s)
                # heard of once; what is sent again is no news
                waiting[lane, epoch, seq] = -1.0

    def p99_s(self) -> float:
        """Return the 99th percentile of all of them."""
        ordered = sorted(self.took_s)
        return ordered[len(ordered) * 99 // 100 - 1]


def plan(seed: int) -> Plan:
    """Return a world of several gateways without any fault."""
    drawn = faults.draw(Random(f"fair {seed}"), real_cloud=False)
    return faults.calm(
        drawn,
        gateways=_GATEWAYS,
        credit=4,
        latency_s=_LATENCY_S,
        append_s=2.0,
        fault_s=_LASTS_S,
        batch_cost_s=_BATCH_COST_S,
    )


def floods(rng: Random) -> list[tuple[float, int]]:
    """Return when, and how many batches at once."""
    return [(rng.uniform(3, _LASTS_S - 3), _BATCHES) for _ in range(_FLOODS)]


def judge(calm: Stopwatch, flooded: Stopwatch) -> None:
    """A flood may at most double what the others see, but for one hop more."""
    before_s, after_s = calm.p99_s(), flooded.p99_s()
    if after_s > 2 * before_s + 4 * _LATENCY_S:
        text = f"the others wait {after_s:.3f} s for 99 % of their batches, without {before_s:.3f}"
        raise Violation("I12", f"one gateway floods: {text}")
