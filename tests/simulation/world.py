"""One run: a world drawn from a seed, its faults, its healing and the verdict."""

import json
import traceback
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from protocols.delivery.envelope import LANES
from tests.simulation import fairness, faults, stage
from tests.simulation.cloud import Cloud
from tests.simulation.fairness import Stopwatch
from tests.simulation.faults import Plan
from tests.simulation.forger import Forger
from tests.simulation.gateway import GatewayNode
from tests.simulation.ledger import Violation
from tests.simulation.loop import EndlessError, Loop
from tests.simulation.memory_store import MemoryStore
from tests.simulation.network import Broker
from tests.simulation.oracle import Oracle
from tests.simulation.schedule import arrange
from tests.simulation.sqlite_store import SqliteStore

# 2026-07-01T00:00:00Z
START_US = 1_782_864_000_000_000
_HOUR_US = 3_600_000_000
_WRONG_US = (0, 0, -20 * 365 * 24 * _HOUR_US, -7 * _HOUR_US, _HOUR_US, 30 * 24 * _HOUR_US)
_TRACE = 60
_HEAL_S = 1200.0
_LOOK_S = 5.0
# by then the answer to a HELLO is there; and what was late before the faults ended
_ANSWERED_S = 4.0
_LATE_S = 30.0
_CALM_TICK_S = 15.0


@dataclass(frozen=True)
class Verdict:
    """What came of a seed; `problem` is empty where every invariant held."""

    seed: int
    records: int
    problem: str
    kind: str
    trace: tuple[str, ...]


class World:
    """Everything of one run; nothing outlives it."""

    def __init__(
        self, seed: int, *, real_cloud: bool | None = None, plan: Plan | None = None
    ) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.secrets = Random(f"secrets of {seed}")
        self.more = Random(f"more of {seed}")
        self.plan = plan or faults.draw(self.rng, real_cloud=real_cloud)
        self.window = 4 * self.plan.credit
        self.least_window = 2 * self.plan.credit
        self.loop = Loop()
        self.growing = True
        self.oracle = Oracle(self)
        self.forger = Forger(self)
        self.broker = Broker(self)
        self.nodes: list[GatewayNode] = []
        self._trace: deque[tuple[Any, ...]] = deque(maxlen=_TRACE)
        self._number = 0
        self._registers: Counter[str] = Counter()
        self._moves: dict[str, list[tuple[int, int]]] = {}
        self._names = [f"gw-{n + 1}" for n in range(self.plan.gateways)]
        owners = {f"{name}-e{n}": name for name in self._names for n in (1, 2)}
        make = SqliteStore if self.plan.real_cloud else MemoryStore
        self.cloud = Cloud(self, make(self._names, owners))

    def add_node(self, name: str, gateway: str) -> GatewayNode:
        """Add a machine that believes to be this gateway."""
        node = GatewayNode(self, name, gateway)
        self.nodes.append(node)
        return node

    def run(self) -> None:
        """Live through the faults, heal and judge; Violation if an invariant does not hold."""
        for name in self._names:
            self.add_node(name, name).boot()
        arrange(self)
        self.loop.run_until(self.plan.fault_s)
        self._heal()
        self.oracle.finish()

    def flood_first(self, batches: int) -> None:
        """Let the first gateway flood."""
        self.nodes[0].flood(batches)

    def close(self) -> None:
        """Let go of every disk."""
        for node in self.nodes:
            node.growing = False
            for task in node.tasks:
                task.discard()
            node.disk.close()

    def trace(self, who: str, *what: object) -> None:
        """Remember what happened; the last of it explains a failure."""
        self._trace.append((self.loop.now_s, who, *what))

    def told(self) -> tuple[str, ...]:
        """Return the last events, readable."""
        return tuple(
            f"{at_s:9.3f} {who:8} {' '.join(map(str, what))}" for at_s, who, *what in self._trace
        )

    def true_us(self) -> int:
        """Return the true time."""
        return START_US + int(self.loop.now_s * self.plan.pace * 1_000_000)

    def wrong_by_us(self) -> int:
        """Return by how much a machine's wall clock is wrong before anybody sets it."""
        return self.more.choice(_WRONG_US) if self.plan.undated else 0

    def counts_refused(self, missing: int) -> bool:
        """Whether the journals still hold a count of so many refused records to declare."""
        marks = [
            node.journal.mark(f"refused:{lane}") or "{}" for node in self.nodes for lane in LANES
        ]
        return sum(json.loads(mark).get("count", 0) for mark in marks) >= missing

    def new_number(self) -> int:
        """Return a number that no other record has."""
        self._number += 1
        return self._number

    def advance(self, device: str) -> int:
        """Let a register move on; return its total."""
        step = self.rng.randint(1, 9)
        self._registers[device] += step
        total = 1000 + self._registers[device]
        self._moves.setdefault(device, [(1000, 0)]).append((total, step))
        return total

    def moved(self, device: str, before: int, after: int) -> int:
        """Return by how much a register moved between two totals, step by step."""
        moves = self._moves[device]
        start = bisect_right(moves, (before, 10))
        return sum(step for _, step in moves[start : bisect_right(moves, (after, 10))])

    def other_gateway(self, gateway: str) -> str | None:
        """Return another gateway of this world."""
        others = [name for name in self._names if name != gateway]
        return self.rng.choice(others) if others else None

    def latency_s(self) -> float:
        """Return how long a hop takes."""
        if self.broker.calm:
            return self.plan.latency_s / 2
        if self.plan.steady:
            return self.plan.latency_s
        return self.rng.expovariate(1 / self.plan.latency_s)

    def step_s(self) -> float:
        """Return how long a worker is busy with one step."""
        return 0.0 if self.rng.random() < 0.5 else self.rng.random() * 0.05

    def hop_s(self) -> float:
        """Return how long a call waits for a thread."""
        if not self.plan.hop or self.rng.random() >= self.plan.hop:
            return 0.0
        return self.rng.random() * 0.05

    def _heal(self) -> None:
        self.broker.calm = True
        self.broker.let_in()
        self.cloud.start()
        for node in self.nodes:
            node.disk.make_room()
            node.disk.broken = None
            node.disk.bomb = node.send_bomb = 0
            node.boot()
        # a seal or two after the faults: what was collected meanwhile is committed first
        self.loop.run_until(self.loop.now_s + 15.0)
        self.growing = False
        self._drain(self.loop.now_s + _LATE_S)
        if self.plan.signs:
            self._sign_last()

    def _sign_last(self) -> None:
        # what is fenced only now goes on in an epoch of its own, which is signed again
        signed: list[list[int]] = []
        while (epochs := [node.epochs() for node in self.nodes]) != signed:
            signed = epochs
            for node in self.nodes:
                node.sign_last()
            self._drain()

    def _drain(self, calm_from_s: float | None = None) -> None:
        # everything is sealed and acknowledged; if it shall be calm, still so after one more HELLO
        # of each gateway: a cloud that forgot something hears of it by then
        end_s = self.loop.now_s + _HEAL_S
        quiet = False
        since_s = self.loop.now_s
        while not quiet:
            for node in self.nodes:
                if node.has_tail():
                    node.seal_all()
            self.loop.run_until(self.loop.now_s + _LOOK_S)
            drained = all(node.is_drained() for node in self.nodes)
            if not drained:
                since_s = self.loop.now_s
            stage.tick(_CALM_TICK_S if drained else None)
            quiet = drained and (
                calm_from_s is None
                or (
                    self.loop.now_s >= calm_from_s
                    and all(node.was_answered(since_s, _ANSWERED_S) for node in self.nodes)
                )
            )
            if self.loop.now_s > end_s:
                left = [node.name for node in self.nodes if not node.is_drained()]
                raise Violation("I13", f"{left} do not drain", kind="stuck")


def run_seed(seed: int, *, real_cloud: bool | None = None) -> Verdict:
    """Run a seed within `stage.installed()`."""
    world = World(seed, real_cloud=real_cloud)
    verdict = _verdict(world, world.run)
    if verdict.problem or seed % fairness.ONE_IN:
        return verdict
    watches: list[Stopwatch] = []
    for flooded in (False, True):
        world = World(seed, plan=fairness.plan(seed))
        watch = world.oracle.stopwatch = Stopwatch()
        watches.append(watch)
        if flooded:
            for at_s, batches in fairness.floods(world.more):
                world.loop.later(at_s, partial(world.flood_first, batches))
        fair = _verdict(world, world.run)
        if fair.problem:
            return fair
    return _verdict(world, lambda: fairness.judge(*watches))


def _verdict(world: World, work: Callable[[], None]) -> Verdict:
    stage.enter(world)
    problem = kind = ""
    try:
        work()
    except Violation as violation:
        problem, kind = str(violation), violation.kind or "broken"
    except EndlessError:
        problem, kind = "I13: it never rests", "stuck"
    except Exception as error:  # noqa: BLE001 - a crash of the product is a verdict too
        problem, kind = f"crash: {traceback.format_exc(limit=-4)}{error!r}", "broken"
    finally:
        world.close()
    told = world.told() if problem else ()
    return Verdict(world.seed, len(world.oracle.records), problem, kind, told)
