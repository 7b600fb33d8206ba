"""The road of a command to its gateway: one message, never retained, that the broker forgets."""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

import aiomqtt

from cloud.errors import CloudError
from protocols.delivery import topics
from protocols.io.mqtt import Broker

CONNECT_S: Final = 5.0


class NotHandedOverError(CloudError):
    """Nothing was sent."""


class Publisher(Protocol):
    """Whatever hands a signed command over."""

    def publish(self, gateway: str, payload: bytes, lifetime_s: int) -> None:
        """Hand it over; NotHandedOverError if it is certain that nothing went out."""
        ...


@dataclass(frozen=True)
class MqttPublisher:
    """One connection for each command: they are few, and whoever asks waits for it.

    The embedded broker knows no expiry; nor does it keep anything for who is not connected.
    """

    broker: Broker
    expires: bool

    def publish(self, gateway: str, payload: bytes, lifetime_s: int) -> None:
        """Publish at QoS 1; what was begun and not confirmed may have gone out."""
        asyncio.run(self._publish(gateway, payload, lifetime_s))

    async def _publish(self, gateway: str, payload: bytes, lifetime_s: int) -> None:
        begun = False
        try:
            async with (
                asyncio.timeout(CONNECT_S),
                self.broker.client(expires=self.expires) as client,
            ):
                begun = True
                await client.publish(
                    topics.down(gateway, "cmd"),
                    payload,
                    qos=1,
                    retain=False,
                    properties=self.broker.expiry(lifetime_s) if self.expires else None,
                )
        except (aiomqtt.MqttError, TimeoutError, OSError) as error:
            if not begun:
                message = f"the broker was not reached: {error}"
                raise NotHandedOverError(message) from error
