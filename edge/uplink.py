"""The uplink: drives the pure sender of each lane between the journal and a broker."""

import asyncio
import random
import time
from collections.abc import Callable

import aiomqtt
import structlog

from edge.clock import AGREED_US, SystemClock
from edge.greetings import Greetings
from edge.journal import Journal
from protocols.delivery import messages, sender, topics
from protocols.delivery.envelope import LANE_EVENTS, LANES
from protocols.errors import WireError
from protocols.failpoint import reach
from protocols.io.mqtt import KEEPALIVE_S, PARALLEL, Broker, publish_all

# it also asks the broker for a sign of life
HELLO_S = float(KEEPALIVE_S)
# a connection that carries nothing for so long is given up: it may be open at our end alone
SILENT_S = 1.5 * KEEPALIVE_S
# a timer may wake a hair before its time
SOON_S = 0.001
TICK_S = 1.0
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0

log = structlog.get_logger("uplink")


class Uplink:
    """Sends sealed batches until the cloud acknowledges them; events go before readings."""

    def __init__(
        self, journal: Journal, broker: Broker, firmware: str, clock: SystemClock | None = None
    ) -> None:
        self.journal = journal
        self.broker = broker
        self.firmware = firmware
        self.connected = asyncio.Event()
        self.greetings = Greetings()
        # told of each command as it comes in, and that an epoch was closed by the cloud
        self.commanded: Callable[[bytes], None] | None = None
        self.fenced: Callable[[], None] | None = None
        self._clock = clock or SystemClock()
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._heard_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._owed: dict[int, sender.Release] = {}
        self._states = {lane: self._from_journal(lane, generation=0) for lane in LANES}

    def backlog(self) -> int:
        """Return how many sealed batches the cloud has not acknowledged."""
        return sum(state.next - 1 - state.acked for state in self._states.values())

    def sealed(self) -> None:
        """Take note that there is something new to send."""
        self._wake.set()

    async def run(self) -> None:
        """Keep a session with the broker, for ever; reconnect with jitter.

        The pause grows until the cloud answers: twins that throw each other out only connect.
        """
        while True:
            retry_s = self._retry_s
            self._retry_s = min(LAST_RETRY_S, retry_s * 2)
            try:
                async with self.broker.client(f"hutong-{self.journal.gateway}") as client:
                    await self._session(client)
            except* aiomqtt.MqttError as group:
                reason = str(group.exceptions[0])
                log.warning("broker_lost", reason=reason, retry_s=round(retry_s, 1))
            finally:
                self.connected.clear()
                for lane in LANES:
                    self._step(lane, sender.Disconnected())
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret

    async def _session(self, client: aiomqtt.Client) -> None:
        await client.subscribe(topics.down(self.journal.gateway, "ack"), qos=1)
        if self.commanded is not None:
            await client.subscribe(topics.down(self.journal.gateway, "cmd"), qos=1)
        self._owed.clear()
        for lane, state in self._states.items():
            # a session that broke during a new epoch left it on disk and not here
            generation = state.generation
            self._states[lane] = await asyncio.to_thread(
                self._from_journal, lane, generation=generation
            )
            self._step(lane, sender.Connected())
        self._hear()
        self.connected.set()
        log.info("broker_connected", host=self.broker.host, port=self.broker.port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(client), name="uplink-listen")
            tasks.create_task(self._greet(client), name="uplink-hello")
            tasks.create_task(self._pump(client), name="uplink-pump")
            tasks.create_task(self._watch(), name="uplink-watch")

    async def _greet(self, client: aiomqtt.Client) -> None:
        while True:
            hello = messages.Hello(
                install_id=self.journal.install_id,
                boot_id=self.journal.boot_id.hex(),
                firmware=self.firmware,
                nonce=self.greetings.greet(self._clock.monotonic_us()),
                lanes=[
                    messages.LaneReport(
                        state.lane,
                        state.epoch,
                        state.first,
                        state.next,
                        state.acked,
                        state.generation,
                    )
                    for state in self._states.values()
                ],
            )
            topic = topics.up(self.journal.gateway, "hello")
            await publish_all(client, [(topic, messages.pack(hello))], heard=self._hear)
            await asyncio.sleep(HELLO_S)

    def _hear(self) -> None:
        self._heard_s = time.monotonic()

    async def _watch(self) -> None:
        """End a session whose other end says nothing, not even that it has what was sent."""
        while (rest_s := self._heard_s + SILENT_S - time.monotonic()) > 0:  # noqa: ASYNC110 - the clock sets no event
            await asyncio.sleep(max(rest_s, SOON_S))
        log.warning("broker_silent", for_s=SILENT_S)
        message = f"the broker said nothing for {SILENT_S:.0f} s"
        raise aiomqtt.MqttError(message)

    async def _pump(self, client: aiomqtt.Client) -> None:
        while True:
            self._wake.clear()
            for lane in LANES:
                async with self._lock:
                    if (owed := self._owed.get(lane)) is not None:
                        # a full disk had no room for the watermark, and what it frees
                        await self._keep(lane, (owed,))
                    status = await asyncio.to_thread(self.journal.status, lane)
                    if status.epoch != self._states[lane].epoch:
                        # a full journal thinned its batches and chained them anew
                        self._restart(lane)
                    effects = self._step(lane, sender.Sealed(status.next, status.first))
                    sends = await self._keep(lane, effects)
                await self._act(client, lane, sends)
            try:
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self._hear()
            if not isinstance(message.payload, bytes):
                continue
            if self.commanded is not None and str(message.topic).endswith("/cmd"):
                if message.retain:
                    # it was meant for somebody who was here before
                    log.warning("retained_command_dropped")
                else:
                    self.commanded(message.payload)
                continue
            try:
                answer = messages.unpack_answer(message.payload)
            except WireError as error:
                log.warning("answer_refused", reason=str(error))
                continue
            if answer.lane not in self._states:
                continue
            async with self._lock:
                effects = self._step(answer.lane, await self._event(answer))
                sends = await self._keep(answer.lane, effects)
            await self._act(client, answer.lane, sends)

    async def _event(self, answer: messages.Answer) -> sender.SenderEvent:
        match answer:
            case messages.Fence():
                return sender.Fenced(answer.epoch)
            case messages.Nack():
                log.error("batch_quarantined", lane=answer.lane, seq=answer.seq)
                return sender.Poisoned(answer.epoch, answer.seq)
            case messages.Ack():
                self._retry_s = FIRST_RETRY_S
                monotonic_us = self._clock.monotonic_us()
                self.greetings.answered(answer.hello, answer.server_time, monotonic_us)
                ahead_us = self._clock.compare(answer.server_time)
                if abs(ahead_us) > AGREED_US and not self._clock.is_certain():
                    log.warning("clock_disagrees", ahead_s=round(ahead_us / 1e6, 1))
                own = await asyncio.to_thread(self.journal.hash_at, answer.lane, answer.through)
                return sender.Acknowledged(
                    answer.epoch,
                    answer.through,
                    tuple(answer.have),
                    bytes.fromhex(answer.hash_through),
                    own,
                    answer.generation,
                    answer.credit,
                    answer.window,
                )

    async def _keep(
        self, lane: int, effects: tuple[sender.SenderEffect, ...]
    ) -> tuple[sender.SenderEffect, ...]:
        # what the journal must remember is on disk before anything else is sent
        epoch = self._states[lane].epoch
        if any(not isinstance(effect, sender.Send) for effect in effects):
            self._owed.pop(lane, None)
        for effect in effects:
            match effect:
                case sender.Release(through=through, generation=generation):
                    now_us = self._clock.true_us()
                    reach("uplink.acknowledged")
                    noted = await asyncio.to_thread(
                        self.journal.release, lane, through, generation, now_us, epoch=epoch
                    )
                    if not noted:
                        self._owed[lane] = effect
                    reach("uplink.released")
                case sender.Rewind(through=through, generation=generation):
                    log.info("generation", lane=lane, through=through, generation=generation)
                    now_us = self._clock.true_us()
                    await asyncio.to_thread(
                        self.journal.rewind, lane, through, generation, now_us, epoch=epoch
                    )
                case sender.NewEpoch(reason=reason, gone=gone):
                    log.warning("new_epoch", lane=lane, reason=reason)
                    if reason == sender.FENCED and self.fenced is not None:
                        await asyncio.to_thread(self.fenced)
                    await asyncio.to_thread(self.journal.new_epoch, lane, gone=gone)
                    self._restart(lane)
                    self._wake.set()
                case sender.Send():
                    continue
        return tuple(effect for effect in effects if isinstance(effect, sender.Send))

    async def _act(
        self, client: aiomqtt.Client, lane: int, effects: tuple[sender.SenderEffect, ...]
    ) -> None:
        topic = topics.up(self.journal.gateway, "0" if lane == LANE_EVENTS else "1")
        wanted = [effect.seq for effect in effects if isinstance(effect, sender.Send)]
        for start in range(0, len(wanted), PARALLEL):
            packed = await asyncio.to_thread(
                self._envelopes, lane, wanted[start : start + PARALLEL]
            )
            reach("uplink.before_send")
            sends = [(topic, item) for item in packed]
            await publish_all(client, sends, heard=self._hear)
            reach("uplink.sent")

    def _envelopes(self, lane: int, wanted: list[int]) -> list[bytes]:
        packed = [self.journal.envelope(lane, seq) for seq in wanted]
        return [item for item in packed if item is not None]

    def _step(self, lane: int, event: sender.SenderEvent) -> tuple[sender.SenderEffect, ...]:
        jitter = random.random()  # noqa: S311 - jitter, no secret
        self._states[lane], effects = sender.step(
            self._states[lane], event, time.monotonic(), jitter
        )
        return effects

    def _restart(self, lane: int) -> None:
        generation = self._states[lane].generation
        self._states[lane] = self._from_journal(lane, generation=generation)
        self._step(lane, sender.Connected())

    def _from_journal(self, lane: int, *, generation: int) -> sender.SenderState:
        status = self.journal.status(lane)
        return sender.SenderState(
            lane,
            status.epoch,
            status.first,
            status.next,
            status.acked,
            max(generation, status.generation),
        )
