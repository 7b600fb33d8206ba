"""One ingest worker: MQTT to a committed transaction, then the acknowledgement."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable

import aiomqtt
import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from cloud.config import Settings
from cloud.ingest.careful import Committer
from cloud.ingest.service import Incoming, Outcome
from protocols.delivery import messages, topics
from protocols.failpoint import reach
from protocols.io.mqtt import Broker, publish_all

GROUP = 32
QUEUE = 1024
RETRY_S = 1.0

log = structlog.get_logger("ingest")

_FATES = Counter("hutong_ingest_batches", "Batches by what became of them.", ["fate"])
_READINGS = Counter("hutong_ingest_readings", "Readings stored.")
_COMMIT = Histogram("hutong_ingest_transaction_seconds", "One group: decode, store, commit.")


class IngestWorker:
    """Takes what gateways publish, in groups, and answers after each commit."""

    def __init__(
        self, engine: Engine, broker: Broker, *, committed: Callable[[], None], shared: bool = False
    ) -> None:
        """`shared` workers divide what arrives among them; the embedded broker can't do that."""
        self._committer = Committer(engine)
        self._broker = broker
        self._filter = topics.SHARED_UP_FILTER if shared else topics.UP_FILTER
        self._committed = committed
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Keep a session with the broker, for ever; only who cancels this ends it cleanly."""
        try:
            await self._sessions()
        except asyncio.CancelledError:
            await asyncio.to_thread(self._committer.end)
            raise

    async def _sessions(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._committer.begin)
                async with self._broker.client(queue=QUEUE) as client:
                    await client.subscribe(self._filter, qos=1)
                    self.ready.set()
                    await self._session(client)
            except* (aiomqtt.MqttError, OperationalError, InterfaceError) as group:
                # nothing was acknowledged that is not stored: the gateways send again
                log.warning("session_lost", reason=str(group.exceptions[0]))
            except* Exception as group:
                # whatever one message did to the worker: found by its count, while others go on
                log.error("session_failed", exc_info=group.exceptions[0])
                self._committer.beware()
            self.ready.clear()
            await asyncio.sleep(RETRY_S)

    async def _session(self, client: aiomqtt.Client) -> None:
        queue: asyncio.Queue[Incoming] = asyncio.Queue(QUEUE)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_receive(client, queue), name="ingest-receive")
            tasks.create_task(self._drain(client, queue), name="ingest-store")

    async def _drain(self, client: aiomqtt.Client, queue: asyncio.Queue[Incoming]) -> None:
        while True:
            group = [await queue.get()]
            while len(group) < GROUP and not queue.empty():
                group.append(queue.get_nowait())
            outcome = await asyncio.to_thread(self._commit, group)
            reach("ingest.committed")
            answers = [
                (topics.down(gateway, "ack"), messages.pack(answer))
                for gateway, answer in outcome.answers
            ]
            await publish_all(client, answers)
            reach("ingest.answered")
            self._committed()

    def _commit(self, group: list[Incoming]) -> Outcome:
        with _COMMIT.time():
            outcome = self._committer.commit(group)
        for fate, count in outcome.counts.items():
            _FATES.labels(fate).inc(count)
        _READINGS.inc(outcome.readings)
        return outcome


def rest_of_garbage() -> None:
    """Look for cycles of garbage seldom: a batch is many small objects and no cycle.

    Looking at each 700 of them takes a third of the time of storing a backlog.
    """
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


async def run_until_terminated(worker: IngestWorker) -> None:
    """Run a worker until SIGTERM or an interrupt, and end cleanly then."""
    task = asyncio.ensure_future(worker.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def ingest_worker(
    engine: Engine, settings: Settings, committed: Callable[[], None]
) -> IngestWorker:
    """Return a worker for the configured broker, one of as many as are started."""
    broker = Broker.parse(settings.broker_url, settings.mqtt_ca_file)
    return IngestWorker(engine, broker, committed=committed, shared=not settings.embedded_broker)


async def _receive(client: aiomqtt.Client, queue: asyncio.Queue[Incoming]) -> None:
    async for message in client.messages:
        if isinstance(message.payload, bytes):
            await queue.put(Incoming(message.topic.value, message.payload))
