"""The broker and its links: a bag of messages that drops, repeats, delays and forgets."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import aiomqtt
import msgspec

from tests.simulation.loop import Signal

if TYPE_CHECKING:
    from tests.simulation.gateway import GatewayNode
    from tests.simulation.world import World

_LONG_DELAY_S = 25.0
_KEEPALIVE_S = 45.0


class Message(NamedTuple):
    """What a client of the broker receives."""

    topic: str
    payload: bytes


class Broker:
    """Routes between gateways and the cloud at QoS 1: its PUBACK says only that it has it."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.sessions: list[Client] = []
        self.life = 0
        self.calm = False
        self.shut = False

    def wipe(self) -> None:
        """Die by SIGKILL and come back empty: what it had acknowledged is gone."""
        self.life += 1
        for session in list(self.sessions):
            session.cut("the broker was killed")

    def shut_out(self) -> None:
        """Be out of reach until `let_in`."""
        self.shut = True
        for session in list(self.sessions):
            session.cut("the broker is out of reach")

    def let_in(self) -> None:
        """Be in reach again."""
        self.shut = False

    def arrived(self, session: "Client", message: Message, puback: Signal) -> None:
        """Take a message from a gateway; nothing comes through a link that is half open."""
        if session.broken or session.half_open:
            return
        if message.topic.endswith("hello"):
            session.node.greeted_s = self.world.loop.now_s
        self.world.loop.later(self.world.latency_s(), puback.set)
        for topic, payload in self._spoilt(message):
            self.carry(partial(self.world.cloud.receive, Message(topic, payload)))
        for forged in self.world.forger.forged(message):
            self.carry(partial(self.world.cloud.receive, forged))

    def down(self, gateway: str, payload: bytes) -> None:
        """Bring an answer of the cloud to whoever listens as this gateway."""
        topic = f"v1/dn/{gateway}/ack"
        if self.world.plan.old_cloud:
            payload = without_window(payload, self.world.least_window)

        def deliver() -> None:
            for session in list(self.sessions):
                if session.topic == topic and not session.half_open:
                    session.take(Message(topic, payload))

        self.carry(deliver)

    def carry(self, deliver: Callable[[], None]) -> None:
        """Deliver never, once or twice, now or much later, and not after a wipe."""
        world, life = self.world, self.life
        rng, plan = world.rng, world.plan
        if not self.calm and rng.random() < plan.drop:
            world.trace("network", "drops a message")
            return
        times = 1 + (not self.calm and rng.random() < plan.repeat)
        for _ in range(times):
            late = not self.calm and rng.random() < plan.delay
            delay_s = rng.uniform(0, _LONG_DELAY_S) if late else world.latency_s()
            world.loop.later(delay_s, lambda: deliver() if life == self.life else None)

    def _spoilt(self, message: Message) -> list[Message]:
        rng, plan = self.world.rng, self.world.plan
        topic, payload = message
        if self.calm:
            return [message]
        if plan.flip and rng.random() < plan.flip:
            spoilt = bytearray(payload)
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            self.world.trace("network", "flips a bit")
            return [Message(topic, bytes(spoilt))]
        if plan.skew and rng.random() < plan.skew and not topic.endswith("hello"):
            fields = msgspec.msgpack.decode(payload)
            self.world.trace("network", "shows a later envelope version")
            return [Message(topic, msgspec.msgpack.encode([fields[0] + 1, *fields[1:]]))]
        if plan.misdirect and rng.random() < plan.misdirect and not topic.endswith("hello"):
            # somebody else publishes what it overheard under its own name, or in the other lane
            other = self.world.other_gateway(topic.split("/")[2])
            lane = topic[-1] if other is not None else str(1 - int(topic[-1]))
            wrong = f"v1/up/{other or topic.split('/')[2]}/{lane}"
            self.world.trace("network", f"repeats a message as {wrong}")
            return [message, Message(wrong, payload)]
        return [message]


class Client:
    """A gateway's session: what aiomqtt.Client is to the uplink."""

    def __init__(self, node: "GatewayNode", identifier: str) -> None:
        self.node = node
        self.identifier = identifier
        self.topic = ""
        self.broken = False
        self.half_open = False
        self._broker = node.world.broker
        self._queue: deque[Message] = deque()
        self._waiting: list[Signal] = []

    async def __aenter__(self) -> "Client":  # noqa: PYI034 - nobody inherits from it
        """Connect; a broker knows a client id once and drops its older session.

        Twins stop sharing one when the faults end: before, they throw each other out all the time.
        """
        await self._pause()
        if self._broker.shut:
            message = "no way to the broker"
            raise aiomqtt.MqttError(message)
        if self._broker.world.plan.takeover and not self._broker.calm:
            for session in list(self._broker.sessions):
                if session.identifier == self.identifier:
                    session.cut("taken over")
        self._broker.sessions.append(self)
        self.node.world.trace(self.node.name, "connects")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave."""
        self.cut("left")

    @property
    def messages(self) -> AsyncIterator[Message]:
        """Return what the broker brings, for ever."""
        return self._messages()

    async def subscribe(self, topic: str, *, qos: int) -> None:
        """Listen to one topic."""
        assert qos == 1
        await self._pause()
        self._check()
        self.topic = topic

    async def publish(self, topic: str, payload: bytes, *, qos: int, **_: object) -> None:
        """Publish and wait for the PUBACK."""
        assert qos == 1
        await self.post(topic, payload)

    def post(self, topic: str, payload: bytes) -> Signal:
        """Publish; the signal is the PUBACK, or the end of the session."""
        self._check()
        self.node.sending(topic, payload)
        puback = Signal()
        self._waiting.append(puback)
        puback.waiters.append(lambda: self._waiting.remove(puback))
        world = self.node.world
        message = Message(topic, payload)
        world.loop.later(world.latency_s(), lambda: self._broker.arrived(self, message, puback))
        return puback

    def take(self, message: Message) -> None:
        """Receive a message."""
        if self.broken:
            return
        if self.node.old:
            world = self.node.world
            message = Message(message.topic, without_window(message.payload, world.least_window))
        self.node.world.oracle.told(self.node, message.payload)
        self._queue.append(message)
        for signal in list(self._waiting):
            if signal.value == "messages":
                signal.value = None
                signal.set()

    def cut(self, reason: str) -> None:
        """End the session: whatever waits in it fails."""
        if self.broken:
            return
        self.broken = True
        if self in self._broker.sessions:
            self._broker.sessions.remove(self)
        if reason != "left":
            self.node.world.trace(self.node.name, f"loses its session: {reason}")
        for signal in list(self._waiting):
            signal.set(error=aiomqtt.MqttError(reason))

    def hang(self) -> None:
        """Be half open: nothing passes either way until the keep-alive notices."""
        self.half_open = True
        self.node.world.trace(self.node.name, "has a half-open link")
        self.node.world.loop.later(_KEEPALIVE_S, lambda: self.cut("keep-alive"))

    async def _messages(self) -> AsyncIterator[Message]:
        while True:
            while not self._queue:
                self._check()
                signal = Signal()
                signal.value = "messages"
                self._waiting.append(signal)
                signal.waiters.append(lambda done=signal: self._waiting.remove(done))
                await signal
            yield self._queue.popleft()

    def _check(self) -> None:
        if self.broken:
            message = "the session is over"
            raise aiomqtt.MqttError(message)

    async def _pause(self) -> None:
        signal = Signal()
        self.node.world.loop.later(self.node.world.latency_s(), signal.set)
        await signal


def without_window(payload: bytes, least: int) -> bytes:
    """Return an answer as it is read where nobody says a window: the least that every cloud has."""
    answer = msgspec.json.decode(payload)
    if "window" in answer:
        # the default of the wire is too wide for worlds where all is small
        answer["window"] = least
        # nor says who knows no window which HELLO it answers
        answer.pop("hello", None)
    return msgspec.json.encode(answer)


async def publish_all(
    client: Client,
    messages: Sequence[tuple[str, bytes]],
    *,
    heard: Callable[[], None] = lambda: None,
) -> None:
    """Do what protocols.io.mqtt.publish_all does: all at once, then wait for the PUBACKs."""
    pubacks = [client.post(topic, payload) for topic, payload in messages]
    for puback in pubacks:
        await puback
        heard()
