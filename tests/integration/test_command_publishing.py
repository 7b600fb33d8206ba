"""A command on its way: not retained, with an end of its life, or certainly not sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from cloud.commands.sending import MqttPublisher, NotHandedOverError
from cloud.ingest.broker import embedded_broker
from edge.journal import Journal
from edge.uplink import Uplink
from protocols.io.mqtt import Broker
from tests.fixtures.brokers import Mosquitto
from tests.fixtures.system_parts import free_port

TOPIC = "v1/dn/gw-1/cmd"


@asynccontextmanager
async def listening(broker: Broker, *, expires: bool) -> AsyncIterator[aiomqtt.Client]:
    async with broker.client(expires=expires) as client:
        await client.subscribe(TOPIC, qos=1)
        yield client


async def handed_over(broker: Broker, *, expires: bool) -> aiomqtt.Message:
    async with listening(broker, expires=expires) as client:
        publisher = MqttPublisher(broker, expires=expires)
        await asyncio.to_thread(publisher.publish, "gw-1", b"a command", 10)
        async with asyncio.timeout(10):
            async for message in client.messages:
                return message
    raise AssertionError


@pytest.mark.mosquitto
async def test_the_broker_forgets_it_in_time(mosquitto: Mosquitto) -> None:
    broker = Broker.parse(mosquitto.url)
    message = await handed_over(broker, expires=True)
    assert (message.payload, message.qos, message.retain) == (b"a command", 1, False)
    assert message.properties is not None
    assert 0 < message.properties.MessageExpiryInterval <= 10
    # who comes later finds nothing
    async with listening(broker, expires=True) as later:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(aiter(later.messages))


async def test_the_embedded_broker_takes_it() -> None:
    port = free_port()
    async with embedded_broker(port):
        message = await handed_over(Broker.parse(f"mqtt://127.0.0.1:{port}"), expires=False)
    assert (message.payload, message.retain) == (b"a command", False)


@pytest.mark.mosquitto
async def test_a_gateway_drops_what_was_retained(mosquitto: Mosquitto, tmp_path: Path) -> None:
    broker = Broker.parse(mosquitto.url)
    journal = Journal(tmp_path / "gw-9.journal", "gw-9")
    uplink = Uplink(journal, broker, "hutong 1")
    received: asyncio.Queue[bytes] = asyncio.Queue()
    uplink.commanded = received.put_nowait
    async with broker.client() as client:
        await client.publish("v1/dn/gw-9/cmd", b"long ago", qos=1, retain=True)
        task = asyncio.create_task(uplink.run())
        async with asyncio.timeout(10):
            await uplink.connected.wait()
            await client.publish("v1/dn/gw-9/cmd", b"now", qos=1)
            assert await received.get() == b"now"
        await client.publish("v1/dn/gw-9/cmd", b"", qos=1, retain=True)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    journal.close()


def test_what_no_broker_took_was_not_sent() -> None:
    for expires in (True, False):
        nobody = Broker.parse(f"mqtt://127.0.0.1:{free_port()}")
        with pytest.raises(NotHandedOverError, match="not reached"):
            MqttPublisher(nobody, expires=expires).publish("gw-1", b"a command", 10)
