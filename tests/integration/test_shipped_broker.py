"""The shipped Mosquitto configuration: each gateway on its own topics, and never in the clear."""

import asyncio
from pathlib import Path

import aiomqtt
import pytest

from protocols.delivery import topics
from protocols.io.mqtt import Broker
from tests.fixtures.brokers import Mosquitto
from tests.fixtures.shipped_broker import HOST, ShippedBroker, make_certificate

DEADLINE_S = 10.0
# paho leaves the socket of a failed handshake to the garbage collector
LEFT_OPEN = pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
KINDS = ("hello", "0", "1")


async def heard(client: aiomqtt.Client, last: bytes) -> list[tuple[str, bytes]]:
    """What a client gets until the message that ends the test has come."""
    got: list[tuple[str, bytes]] = []
    async with asyncio.timeout(DEADLINE_S):
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            got.append((str(message.topic), message.payload))
            if message.payload == last:
                break
    return got


async def test_no_gateway_writes_on_anothers_topics(shipped_broker: ShippedBroker) -> None:
    one, cloud = shipped_broker.account("gw-1"), shipped_broker.account("cloud")
    async with cloud.client("cloud") as reader, one.client("hutong-gw-1") as gateway:
        await reader.subscribe(topics.SHARED_UP_FILTER, qos=1)
        for other in ("gw-2", "gw-11", "cloud"):
            for kind in KINDS:
                await gateway.publish(f"v1/up/{other}/{kind}", b"forged", qos=1)
        for topic in ("v1/dn/gw-2/ack", "v1/dn/gw-1/ack", "v1/up/gw-1", "v1/up/gw-1/1/x", "x"):
            await gateway.publish(topic, b"forged", qos=1)
        for kind in ("hello", "0"):
            await gateway.publish(f"v1/up/gw-1/{kind}", b"own", qos=1)
        await gateway.publish("v1/up/gw-1/1", b"last", qos=1)
        got = await heard(reader, b"last")
    assert got == [
        ("v1/up/gw-1/hello", b"own"),
        ("v1/up/gw-1/0", b"own"),
        ("v1/up/gw-1/1", b"last"),
    ]


async def test_no_gateway_reads_anothers_topics(shipped_broker: ShippedBroker) -> None:
    one, two = shipped_broker.account("gw-1"), shipped_broker.account("gw-2")
    cloud = shipped_broker.account("cloud")
    async with (
        cloud.client("cloud") as writer,
        one.client("hutong-gw-1") as curious,
        two.client("hutong-gw-2") as talker,
    ):
        for topic in ("#", "v1/#", "v1/dn/+/+", "v1/dn/gw-2/ack", "v1/up/gw-2/1", topics.UP_FILTER):
            await curious.subscribe(topic, qos=1)
        await curious.subscribe("v1/dn/gw-1/ack", qos=1)
        await talker.publish("v1/up/gw-2/1", b"of gw-2", qos=1)
        await writer.publish("v1/dn/gw-2/ack", b"for gw-2", qos=1)
        await writer.publish("v1/dn/gw-2/cmd", b"for gw-2", qos=1)
        await writer.publish("v1/dn/gw-1/ack", b"last", qos=1)
        got = await heard(curious, b"last")
    # many filters of its own may match the same message; none matches another's
    assert {topic for topic, _ in got} == {"v1/dn/gw-1/ack"}


async def test_a_gateway_that_was_refused_is_still_served(shipped_broker: ShippedBroker) -> None:
    one, cloud = shipped_broker.account("gw-1"), shipped_broker.account("cloud")
    async with cloud.client("cloud") as writer, one.client("hutong-gw-1") as gateway:
        await gateway.subscribe("v1/dn/gw-1/+", qos=1)
        for number in range(200):
            await gateway.publish("v1/up/gw-2/1", b"forged", qos=1)
            await writer.publish("v1/dn/gw-1/ack", b"%d" % number, qos=1)
        await writer.publish("v1/dn/gw-1/ack", b"last", qos=1)
        assert len(await heard(gateway, b"last")) == 201


async def test_workers_of_one_subscription_divide_the_work(shipped_broker: ShippedBroker) -> None:
    one, cloud = shipped_broker.account("gw-1"), shipped_broker.account("cloud")
    got: list[bytes] = []
    done = asyncio.Event()

    async def work(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            got.append(message.payload)
            if len(got) == 100:
                done.set()

    async with (
        cloud.client("w-1") as first,
        cloud.client("w-2") as second,
        one.client("hutong-gw-1") as gateway,
    ):
        for worker in (first, second):
            await worker.subscribe(topics.SHARED_UP_FILTER, qos=1)
        tasks = [asyncio.create_task(work(worker)) for worker in (first, second)]
        for number in range(100):
            await gateway.publish("v1/up/gw-1/1", b"%d" % number, qos=1)
        await asyncio.wait_for(done.wait(), DEADLINE_S)
        for task in tasks:
            task.cancel()
    assert sorted(got) == sorted(b"%d" % number for number in range(100))


async def test_it_is_never_spoken_in_the_clear(shipped_broker: ShippedBroker) -> None:
    plain = shipped_broker.account("gw-1", scheme="mqtt")
    with pytest.raises(aiomqtt.MqttError):
        async with plain.client("hutong-gw-1"):
            pytest.fail("the broker took a connection without TLS")


@LEFT_OPEN
async def test_a_tls_gateway_does_not_fall_back(mosquitto: Mosquitto) -> None:
    port = mosquitto.port
    with pytest.raises(aiomqtt.MqttError):
        async with Broker.parse(f"mqtts://{HOST}:{port}").client("hutong-gw-1"):
            pytest.fail("TLS was asked for, and a connection without it was used")


@LEFT_OPEN
async def test_a_broker_of_somebody_else_is_not_believed(
    shipped_broker: ShippedBroker, tmp_path: Path
) -> None:
    make_certificate(tmp_path)
    url = f"mqtts://gw-1:of%20gw-1@{HOST}:{shipped_broker.port}"
    for ca_file in (tmp_path / "server.crt", None):
        with pytest.raises(aiomqtt.MqttError, match=r"(?i)certificate"):
            async with Broker.parse(url, ca_file).client("hutong-gw-1"):
                pytest.fail("an unknown certificate was believed")


@pytest.mark.parametrize("url", ["mqtts://{}", "mqtts://gw-1:wrong@{}", "mqtts://gw-9:x@{}"])
async def test_nobody_comes_in_without_an_account(shipped_broker: ShippedBroker, url: str) -> None:
    broker = Broker.parse(url.format(f"{HOST}:{shipped_broker.port}"), shipped_broker.ca_file)
    with pytest.raises(aiomqtt.MqttError):
        async with broker.client("hutong-gw-1"):
            pytest.fail("somebody came in")
