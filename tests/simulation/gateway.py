"""A gateway: the real journal and the real uplink on a simulated disk, clock and network."""

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.clock import SystemClock
from edge.journal import Journal
from edge.uplink import Uplink
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS, LANES
from protocols.delivery.records import Event, Reading, Record
from protocols.errors import HutongError
from tests.simulation.disk import Disk, Image
from tests.simulation.ledger import Violation
from tests.simulation.loop import Killed, Task
from tests.simulation.network import Client

if TYPE_CHECKING:
    from tests.simulation.world import World

# 2026-07-01T00:00:00Z
START_US = 1_782_864_000_000_000
_SECOND_US = 1_000_000
_OFFLINE_SEAL = 0.15
_EVENT = 0.2
_MISSING = 0.05
_SUPERVISOR_S = 10.0


class NodeClock(SystemClock):
    """The shipped clock on wall time that may jump, and monotonic time that begins at each boot."""

    def __init__(self, world: "World", jumped_us: int = 0) -> None:
        super().__init__()
        self._world = world
        self.jumped_us = jumped_us
        self.booted_s = world.loop.now_s

    def now_us(self) -> int:
        """Return wall time."""
        return START_US + int(self._world.loop.now_s * _SECOND_US) + self.jumped_us

    def monotonic_us(self) -> int:
        """Return microseconds since the boot."""
        return int((self._world.loop.now_s - self.booted_s) * _SECOND_US)


class GatewayNode:
    """One machine that believes to be `gateway`; a clone believes the same."""

    host = "simulated"
    port = 0

    def __init__(self, world: "World", name: str, gateway: str) -> None:
        self.world = world
        self.name = name
        self.gateway = gateway
        self.disk = Disk(name)
        self.clock = NodeClock(world)
        self.tasks: list[Task] = []
        self.sessions: list[Client] = []
        self.alive = False
        self.send_bomb = 0
        self.life = 0
        self._pending: list[tuple[Record, int]] = []

    def client(self, identifier: str) -> Client:
        """Return a client for a new session, as protocols.io.mqtt.Broker does."""
        session = Client(self, identifier)
        self.world.oracle.session(self)
        self.sessions = [session]
        return session

    def boot(self) -> None:
        """Start the program on what the disk holds."""
        if self.alive:
            return
        self.life += 1
        self.alive = True
        self.clock = NodeClock(self.world, self.clock.jumped_us)
        self.world.trace(self.name, "boots")
        try:
            self.journal = Journal(self.disk.path, self.gateway)
            self.uplink = Uplink(self.journal, self, "simulated", self.clock)
        except Killed:
            self.die("killed at its start")
            return
        except (sqlite3.Error, HutongError) as error:
            self.die(f"cannot start: {error}")
            return
        task = Task(self.world.loop, self.uplink.run(), self)
        task.finished.waiters.append(lambda: self._ended(task))
        self._later(self.world.rng.uniform(0, self.world.plan.append_s), self._poll)

    def die(self, reason: str, again_s: float | None = None) -> None:
        """Lose the process and all that was in memory; a supervisor starts it again."""
        if not self.alive:
            return
        self.alive = False
        self.life += 1
        self.world.trace(self.name, f"dies: {reason}")
        self.disk.kill()
        self.disk.bomb = self.send_bomb = 0
        tasks, self.tasks = self.tasks, []
        for task in tasks:
            task.discard()
        for session in self.sessions:
            session.cut("its gateway died")
        self._pending.clear()
        calm = self.world.broker.calm
        wait_s = 1.0 if calm else self.world.rng.uniform(0.1, _SUPERVISOR_S)
        self.world.loop.later(wait_s if again_s is None else again_s, self.boot)

    def restore(self, image: Image) -> None:
        """Be an older copy from now on."""
        self.die("its disk is replaced by an older copy", again_s=2.0)
        self.disk.put_back(image)
        self.world.trace(self.name, "is restored")

    def flood(self, batches: int) -> None:
        """Seal many batches at once."""
        self._guarded(lambda: self._flood(batches))

    def seal_all(self) -> None:
        """Seal what is in the tails: no more will come."""
        self._guarded(lambda: [self.journal.seal(lane, self.clock.now_us()) for lane in LANES])
        if self.alive:
            self.uplink.sealed()

    def is_drained(self) -> bool:
        """Whether everything is sealed and acknowledged."""
        if not self.alive:
            return False
        stands = [self.journal.status(lane) for lane in LANES]
        return all(lane.tail_records == 0 and lane.acked == lane.next - 1 for lane in stands)

    def sending(self, topic: str, payload: bytes) -> None:
        """Let the oracle see what leaves, or die instead."""
        if self.send_bomb:
            self.send_bomb -= 1
            if not self.send_bomb:
                raise Killed
        self.world.oracle.sent(self, topic, payload)

    def _poll(self) -> None:
        world = self.world
        if not world.growing:
            return
        self._guarded(self._record)
        self._later(world.rng.expovariate(1.0) * world.plan.append_s, self._poll)

    def _record(self) -> None:
        world, rng = self.world, self.world.rng
        if rng.random() < _EVENT:
            number = world.new_number()
            body = {"number": number, "text": "a door"}
            now_us, monotonic_us = self.clock.now_us(), self.clock.monotonic_us()
            event = Event(f"{self.gateway}-door", "opened", now_us, monotonic_us, body)
            world.oracle.appended(number, event, self.gateway)
            self._commit(LANE_EVENTS, [(event, number)], seal=True)
        for _ in range(rng.randint(1, 4)):
            self._pending.append(self._reading())
        seal = self.uplink.connected.is_set() or rng.random() < _OFFLINE_SEAL
        taken, self._pending = self._pending, []
        if not self._commit(LANE_READINGS, taken, seal=seal):
            self._pending = taken
        if self.alive:
            self.uplink.sealed()

    def _reading(self) -> tuple[Record, int]:
        world, rng = self.world, self.world.rng
        owner = self.gateway
        if rng.random() < world.plan.foreign and not world.broker.calm:
            owner = world.other_gateway(owner) or owner
        device = f"{owner}-e{rng.randint(1, 2)}"
        count = None if rng.random() < _MISSING else world.advance(device)
        number = world.new_number()
        reading = Reading(
            device,
            "energy_import",
            "kWh",
            -2,
            count,
            1 if count is None else 0,
            self.clock.now_us() + number % 997,
            self.clock.monotonic_us(),
            number.to_bytes(8, "big"),
        )
        world.oracle.appended(number, reading, self.gateway)
        return reading, number

    def _flood(self, batches: int) -> None:
        rows = [self._reading() for _ in range(batches)]
        now_us = self.clock.now_us()
        numbers = {number for _, number in rows}
        self.disk.doubtful |= numbers
        self.journal.append_sealed(
            LANE_READINGS, [(now_us, [record]) for record, _ in rows], {"flood": "1"}
        )
        self.disk.doubtful -= numbers
        self.disk.committed |= numbers
        self.uplink.sealed()
        self.world.trace(self.name, f"floods {batches} batches")

    def _commit(self, lane: int, rows: list[tuple[Record, int]], *, seal: bool) -> bool:
        numbers = {number for _, number in rows}
        now_us = self.clock.now_us() if seal else None
        # a process that dies in here leaves it open whether they are on disk
        self.disk.doubtful |= numbers
        try:
            self.journal.append(lane, [record for record, _ in rows], seal_at_us=now_us)
        except (sqlite3.Error, HutongError) as error:
            self.disk.doubtful -= numbers
            self.world.trace(self.name, f"cannot append: {error}")
            return False
        self.disk.doubtful -= numbers
        self.disk.committed |= numbers
        if not seal:
            self.disk.unsealed |= numbers
        elif lane == LANE_READINGS:
            self.disk.unsealed = set(self.disk.doubtful)
        return True

    def _guarded(self, work: Callable[[], object]) -> None:
        if not self.alive:
            return
        try:
            work()
        except Killed:
            self.die("killed")
        except (sqlite3.Error, HutongError) as error:
            self.die(f"stops: {error}")

    def _later(self, delay_s: float, call: Callable[[], object]) -> None:
        life = self.life
        self.world.loop.later(delay_s, lambda: call() if life == self.life else None)

    def _ended(self, task: Task) -> None:
        error = task.finished.error
        if not self.alive or isinstance(error, Killed):
            return
        inner = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        if not all(isinstance(one, sqlite3.Error | HutongError) for one in inner):
            raise Violation("crash", f"the uplink of {self.name} ends: {error!r}") from error
        self.die(f"its uplink ended: {inner[0]}")
