"""A gateway: the real journal and the real uplink on a simulated disk, clock and network."""

import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.clock_watch import ClockWatch
from edge.journal import Journal, JournalFullError, Limits
from edge.signing import Signer
from edge.uplink import Uplink
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS, LANES
from protocols.delivery.records import Event, Quality, Reading, Record
from protocols.errors import HutongError
from tests.simulation.disk import Disk, Image, no_room
from tests.simulation.ledger import Violation
from tests.simulation.loop import Killed, Signal, Task
from tests.simulation.network import Client
from tests.simulation.node_clock import NodeClock

if TYPE_CHECKING:
    from tests.simulation.world import World

_SECOND_US = 1_000_000
# room for the log and the reserve, and for what others keep on the same disk
_SPARE_BYTES = 512 * 1024
_OFFLINE_SEAL = 0.15
_OFFLINE_SEAL_US = 60 * _SECOND_US
_EVENT = 0.2
_MISSING = 0.05
_SUPERVISOR_S = 10.0
_DIES = 0.3
_GOOD, _UNCERTAIN = int(Quality.GOOD), int(Quality.TIME_UNCERTAIN)


class GatewayNode:
    """One machine that believes to be `gateway`; a clone believes the same."""

    host = "simulated"
    port = 0

    def __init__(self, world: "World", name: str, gateway: str) -> None:
        self.world = world
        self.name = name
        self.gateway = gateway
        self.disk = self._new_disk()
        self.clock = NodeClock(world, world.wrong_by_us())
        self.old = world.more.random() < world.plan.old_gateways
        key = Random(f"key of {gateway} {world.seed}").randbytes(32)
        self.key = Ed25519PrivateKey.from_private_bytes(key) if world.plan.signs else None
        self.signer: Signer | None = None
        self.watch: Task | None = None
        self.tasks: list[Task] = []
        self.sessions: list[Client] = []
        self.alive = False
        self.send_bomb = 0
        self.boot_bomb = 0
        self.life = 0
        self.restored = 0
        self.greeted_s = -1.0
        self._sealed_us = 0
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
        self._sealed_us = -_OFFLINE_SEAL_US
        self.clock = NodeClock(self.world, self.clock.jumped_us)
        self.world.trace(self.name, "boots")
        if self.boot_bomb and not self.world.broker.calm:
            self.disk.bomb = self.boot_bomb
        self.boot_bomb = 0
        limits = None
        if self.world.plan.limit_bytes is not None:
            limits = Limits(self.world.plan.limit_bytes, self.world.plan.grace_s)
        try:
            self.journal = Journal(self.disk.path, self.gateway, limits=limits, clock=self.clock)
            self.world.oracle.account.follow(self.journal)
            self.uplink = Uplink(self.journal, self, "simulated", self.clock)
        except Killed:
            self.die("killed at its start")
            return
        except (sqlite3.Error, HutongError) as error:
            self.die(f"cannot start: {error}")
            return
        self._start(self.uplink.run())
        if self.key is not None:
            self.signer = Signer(
                self.journal, self.key, clock=self.clock, sealed=self.uplink.sealed
            )
            self._start(self.signer.run())
        if self.world.plan.undated:
            self.watch = self._start(ClockWatch(self.clock, self).run())
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
        self.restored += 1
        self.world.trace(self.name, "is restored")

    def disk_name(self) -> str:
        """Return a name that an older copy put back does not share."""
        return f"{self.name}/{self.restored}"

    def flood(self, batches: int) -> None:
        """Seal many batches at once."""
        self._guarded(lambda: self._flood(batches))

    def seal_all(self) -> None:
        """Seal what is in the tails: no more will come."""
        self._guarded(lambda: [self.journal.seal(lane, self.clock.now_us()) for lane in LANES])
        if self.alive:
            self.uplink.sealed()

    def sign_last(self) -> None:
        """Sign what is newest, as a program does that is told to stop."""
        if self.alive and self.signer is not None:
            if self.watch is not None:
                # nobody adds any more
                self.watch.discard()
            self._start(self.signer.sign())

    def epochs(self) -> list[int]:
        """Return the epoch of each lane."""
        return [self.journal.status(lane).epoch for lane in LANES]

    async def note(self, event: Event) -> None:
        """Commit and seal an event at once, as edge.recorder does."""
        with suppress(JournalFullError):
            self.journal.append(LANE_EVENTS, [event], seal_at_us=self.clock.now_us())
        self.uplink.sealed()

    def has_tail(self) -> bool:
        """Whether something is not sealed."""
        return self.alive and any(self.journal.status(lane).tail_records for lane in LANES)

    def is_drained(self) -> bool:
        """Whether everything is sealed and acknowledged."""
        if not self.alive:
            return False
        stands = [self.journal.status(lane) for lane in LANES]
        return all(lane.tail_records == 0 and lane.acked == lane.next - 1 for lane in stands)

    def was_answered(self, since_s: float, after_s: float) -> bool:
        """Whether a HELLO since then went to the broker at least `after_s` ago."""
        return since_s <= self.greeted_s <= self.world.loop.now_s - after_s

    def sending(self, topic: str, payload: bytes) -> None:
        """Let the oracle see what leaves, or die instead."""
        if self.send_bomb:
            self.send_bomb -= 1
            if not self.send_bomb:
                raise Killed
        self.world.oracle.sent(self, topic, payload)

    def check_bounds(self) -> None:
        """I11: a sender has no more on its way than its credit, and knows of no more than fits."""
        for state in self.uplink._states.values():
            most = max(self.world.plan.credit, 1)
            if len(state.flights) > most or len(state.held) > self.world.window:
                text = f"{len(state.flights)} on their way, {len(state.held)} held"
                raise Violation("I11", f"{self.name} lane {state.lane}: {text}")

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
        for _ in range(rng.randint(1, world.plan.rows)):
            self._pending.append(self._reading())
        seal = self.uplink.connected.is_set() or rng.random() < _OFFLINE_SEAL
        # no tail is open for longer than a minute
        seal = seal or (world.plan.pace > 1 and self._is_due())
        taken, self._pending = self._pending, []
        if not self._commit(LANE_READINGS, taken, seal=seal):
            self._pending = taken
        if self.alive:
            self.uplink.sealed()

    def _is_due(self) -> bool:
        now_us = self.clock.monotonic_us()
        if now_us - self._sealed_us < _OFFLINE_SEAL_US:
            return False
        self._sealed_us = now_us
        return True

    def _reading(self) -> tuple[Record, int]:
        world, rng = self.world, self.world.rng
        owner = self.gateway
        if rng.random() < world.plan.foreign and not world.broker.calm:
            owner = world.other_gateway(owner) or owner
        device = f"{owner}-e{rng.randint(1, 2)}"
        count = None if rng.random() < _MISSING else world.advance(device)
        number = world.new_number()
        certain = not world.plan.undated or self.clock.is_certain()
        words = number.to_bytes(8, "big") + rng.randbytes(world.plan.word_bytes - 8)
        reading = Reading(
            device,
            "energy_import",
            "kWh",
            -2,
            count,
            int(Quality.MISSING) if count is None else _GOOD if certain else _UNCERTAIN,
            self.clock.now_us() + number % 997,
            self.clock.monotonic_us(),
            words,
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
        except JournalFullError as error:
            self.disk.doubtful -= numbers
            self.world.trace(self.name, f"has no room: {error}")
            # what a bounded journal refuses is counted and dropped, as edge.recorder does
            return self.disk.bounded
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

    def _new_disk(self) -> Disk:
        plan, account = self.world.plan, self.world.oracle.account
        if plan.limit_bytes is None:
            disk = Disk(self.name)
        else:
            disk = Disk(self.name, plan.limit_bytes + _SPARE_BYTES)
            disk.at_commit = lambda: account.check_size(disk)
            if plan.strikes:
                disk.strike = self._strike
        if account.wanted:
            disk.sealed = lambda items: account.sealed(self.gateway, items)
        return disk

    def _strike(self) -> sqlite3.Error | None:
        world = self.world
        if world.broker.calm or world.rng.random() >= world.plan.strikes:
            return None
        if world.rng.random() < _DIES:
            self.disk.kill()
            raise Killed
        world.trace(self.name, "finds no room in a write")
        return no_room()

    def _start(self, work: Coroutine[Signal, None, object]) -> Task:
        task = Task(self.world.loop, work, self)
        task.finished.waiters.append(lambda: self._ended(task))
        return task

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
        if not self.alive or error is None or isinstance(error, Killed):
            return
        inner = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        if not all(isinstance(one, sqlite3.Error | HutongError) for one in inner):
            raise Violation("crash", f"a task of {self.name} ends: {error!r}") from error
        self.die(f"a task of it ended: {inner[0]}")
