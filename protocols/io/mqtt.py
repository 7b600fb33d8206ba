"""Where the broker is and how to connect to it (aiomqtt)."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiomqtt
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PLAIN_PORT = 1883
TLS_PORT = 8883
KEEPALIVE_S = 30
# a slow link must take this many batches of 64 KiB in this time
PARALLEL = 16
PUBLISH_S = 60.0


@dataclass(frozen=True)
class Broker:
    """A broker: `mqtt://` in the clear, `mqtts://` with TLS and never without."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool
    ca_file: Path | None = None

    @classmethod
    def parse(cls, url: str, ca_file: Path | None = None) -> "Broker":
        """Return the parts of a broker URL; ValueError says what is allowed.

        `ca_file` has the certificates that a broker's is checked against, instead of the system's.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            message = f"the port of {parts.hostname}: {error}"
            raise ValueError(message) from error
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            message = (
                f"{parts.scheme}://{parts.hostname}: allowed are"
                " mqtt://[USER:PASSWORD@]HOST[:PORT] and mqtts://..."
            )
            raise ValueError(message)
        tls = parts.scheme == "mqtts"
        return cls(
            parts.hostname,
            port or (TLS_PORT if tls else PLAIN_PORT),
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            tls,
            ca_file,
        )

    @staticmethod
    def expiry(lifetime_s: int) -> Properties:
        """Return what makes a broker forget a message that it could not deliver in time."""
        found = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        found.MessageExpiryInterval = lifetime_s
        return found

    def client(
        self, identifier: str | None = None, *, queue: int = 0, expires: bool = False
    ) -> aiomqtt.Client:
        """Return a client with a clean session: journal and database, not the broker, remember.

        Only one that `expires` may say of a message how long it lives (MQTT 5).
        """
        client = aiomqtt.Client(
            self.host,
            self.port,
            username=self.username,
            password=self.password,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V5 if expires else aiomqtt.ProtocolVersion.V311,
            keepalive=KEEPALIVE_S,
            # MQTT 5 has another word for it
            clean_session=None if expires else True,
            clean_start=True if expires else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            tls_context=ssl.create_default_context(cafile=self.ca_file) if self.tls else None,
            max_inflight_messages=1000,
            max_queued_incoming_messages=queue or None,
            timeout=10,
            # our small answers would make the next publish wait 40 ms for the peer's TCP
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        client.pending_calls_threshold = PARALLEL
        return client


async def publish_all(
    client: aiomqtt.Client,
    messages: Sequence[tuple[str, bytes]],
    *,
    heard: Callable[[], None] = lambda: None,
) -> None:
    """Publish (topic, payload) at QoS 1 in this order, waiting for many PUBACKs at a time.

    `heard` is called at each PUBACK.
    """

    async def publish(topic: str, payload: bytes) -> None:
        await client.publish(topic, payload, qos=1, timeout=PUBLISH_S)
        heard()

    for start in range(0, len(messages), PARALLEL):
        part = messages[start : start + PARALLEL]
        await asyncio.gather(*(publish(topic, payload) for topic, payload in part))
