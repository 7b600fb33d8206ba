"""The cloud: ingest workers that run the real service in transactions of a store."""

from typing import TYPE_CHECKING, Any

from cloud.ingest import service
from cloud.ingest.service import Incoming
from protocols.delivery import messages
from tests.simulation.memory_store import BlockedError, ConflictError
from tests.simulation.network import Message

if TYPE_CHECKING:
    from tests.simulation.world import World

_QUEUE = 1024
_RETRY_S = 1.0
_BLOCKED_S = 0.01


class Worker:
    """One ingest worker: a group, a transaction, a commit, then the answers."""

    def __init__(self, cloud: "Cloud", name: str) -> None:
        self.cloud = cloud
        self.name = name
        self.life = 0
        self.busy = False
        self.inbox: list[Incoming] = []
        self._transaction: Any = None

    def take(self, message: Incoming) -> None:
        """Queue a message."""
        if len(self.inbox) < _QUEUE:
            self.inbox.append(message)
            self._wake()

    def die(self) -> None:
        """Lose the queue and the open transaction."""
        self.life += 1
        self.busy = False
        self.inbox.clear()
        if self._transaction is not None:
            self._transaction.rollback()
            self._transaction = None

    def _wake(self) -> None:
        if not self.busy and self.inbox:
            self.busy = True
            world = self.cloud.world
            size = world.rng.choice((1, 2, 8, 32))
            work_s = min(size, len(self.inbox)) * world.plan.batch_cost_s
            self._later(world.step_s() + work_s, lambda: self._process(size))

    def _process(self, size: int) -> None:
        cloud, world = self.cloud, self.cloud.world
        group = self.inbox[:size]
        transaction = None
        try:
            transaction = cloud.store.begin()
            outcome = service.process(transaction, group, world.true_us())
        except BlockedError:
            if transaction is not None:
                transaction.rollback()
            self._later(world.step_s() + _BLOCKED_S, lambda: self._process(size))
            return
        self._transaction = transaction
        del self.inbox[:size]
        self._later(world.step_s(), lambda: self._commit(group, outcome))

    def _commit(self, group: list[Incoming], outcome: service.Outcome) -> None:
        world = self.cloud.world
        transaction, self._transaction = self._transaction, None
        try:
            transaction.commit()
        except ConflictError:
            # worker.py: a DBAPIError ends the session, nothing was acknowledged
            world.trace(self.name, "fails to commit")
            self.inbox.clear()
            self._later(_RETRY_S, self._idle)
            return
        world.oracle.committed(group, outcome.answers)
        self._later(world.step_s(), lambda: self._answer(outcome))

    def _answer(self, outcome: service.Outcome) -> None:
        world = self.cloud.world
        for gateway, answer in outcome.answers:
            world.oracle.answered(gateway, answer)
            world.broker.down(gateway, messages.pack(answer))
        self._idle()

    def _idle(self) -> None:
        self.busy = False
        self._wake()

    def _later(self, delay_s: float, call: Any) -> None:  # noqa: ANN401 - any call without arguments
        life = self.life
        self.cloud.world.loop.later(delay_s, lambda: call() if life == self.life else None)


class Cloud:
    """The workers that share one subscription and one store."""

    def __init__(self, world: "World", store: Any) -> None:  # noqa: ANN401 - memory or SQLite
        self.world = world
        self.store = store
        self.up = True
        self.workers = [Worker(self, f"cloud-{n + 1}") for n in range(world.plan.workers)]

    def receive(self, message: Message) -> None:
        """Take what the broker brings; while no worker listens, it is gone."""
        if self.up:
            worker = self.world.rng.choice(self.workers)
            worker.take(Incoming(message.topic, message.payload))

    def kill(self, again_s: float) -> None:
        """Die wherever every worker is, and come back."""
        if not self.up:
            return
        self.world.trace("cloud", "is killed")
        self.up = False
        for worker in self.workers:
            worker.die()
        self.world.loop.later(again_s, self.start)

    def start(self) -> None:
        """Listen again."""
        self.up = True
        self.world.trace("cloud", "starts")

    def restore(self, image: Any) -> None:  # noqa: ANN401 - whatever the store's image is
        """Be an older copy from now on."""
        self.kill(1.0)
        self.store.put_back(image)
        self.world.oracle.cloud_restored()
        self.world.trace("cloud", "is restored from an older copy")
