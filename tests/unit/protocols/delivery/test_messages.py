"""HELLO and the cloud's answers: they come back whole, and what no receiver can keep is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.delivery import messages, topics
from protocols.delivery.messages import Ack, Fence, Hello, LaneReport, Nack
from protocols.errors import WireError

EPOCH = (1 << 64) - 1
HELLO = Hello("install", "boot", "hutong 1", "nonce", [LaneReport(1, EPOCH, 1, 5, 4, 2)])
ACK = Ack(1, EPOCH, 4, [(6, 7)], "ab" * 32, 2, 128, 1)


def test_an_older_cloud_says_not_which_hello_it_answers() -> None:
    whole = json.loads(messages.pack(ACK))
    del whole["hello"]
    assert messages.unpack_answer(json.dumps(whole).encode()) == ACK
    # and an older gateway passes over what it does not know
    whole["later"] = 1
    assert messages.unpack_answer(json.dumps(whole).encode()) == ACK


def test_hello_comes_back() -> None:
    assert messages.unpack_hello(messages.pack(HELLO)) == HELLO


@pytest.mark.parametrize(
    "answer",
    [ACK, Fence(0, EPOCH, "why"), Nack(1, EPOCH, 3, "poison")],
    ids=lambda it: type(it).__name__,
)
def test_answers_come_back(answer: messages.Answer) -> None:
    assert messages.unpack_answer(messages.pack(answer)) == answer


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lane", 2),
        ("epoch", 0),
        ("epoch", 1 << 64),
        ("epoch", -1),
        ("first", -1),
        ("next", 1 << 63),
        ("acked", "4"),
        ("generation", 1 << 62),
    ],
)
def test_a_lane_report_out_of_bounds_is_refused(key: str, value: object) -> None:
    whole = json.loads(messages.pack(HELLO))
    whole["lanes"][0][key] = value
    with pytest.raises(WireError):
        messages.unpack_hello(json.dumps(whole).encode())


@pytest.mark.parametrize(
    ("key", "value"),
    [("install_id", "x" * 65), ("firmware", "a\0b"), ("boot_id", None), ("lanes", [1])],
)
def test_a_hello_out_of_bounds_is_refused(key: str, value: object) -> None:
    whole = json.loads(messages.pack(HELLO)) | {key: value}
    with pytest.raises(WireError):
        messages.unpack_hello(json.dumps(whole).encode())


def test_more_than_two_lanes_are_refused() -> None:
    whole = json.loads(messages.pack(HELLO))
    whole["lanes"] *= 3
    with pytest.raises(WireError):
        messages.unpack_hello(json.dumps(whole).encode())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hash_through", "zz"),
        ("hash_through", "ab" * 31),
        ("through", -1),
        ("have", [[-1, 3]]),
        ("credit", -5),
        ("lane", 7),
        ("type", "bill"),
    ],
)
def test_an_ack_out_of_bounds_is_refused(key: str, value: object) -> None:
    whole = json.loads(messages.pack(ACK)) | {key: value}
    with pytest.raises(WireError):
        messages.unpack_answer(json.dumps(whole).encode())


@given(st.binary(max_size=60))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(WireError):
        messages.unpack_hello(noise)
    with pytest.raises(WireError):
        messages.unpack_answer(noise)


def test_topics_come_back() -> None:
    assert topics.parse_up(topics.up("gw-1", "hello")) == ("gw-1", "hello")
    assert topics.down("gw-1", "ack") == "v1/dn/gw-1/ack"


@pytest.mark.parametrize(
    "topic", ["v1/up/gw-1", "v1/up/gw-1/2", "v1/dn/gw-1/0", "v2/up/gw-1/0", "v1/up/a/b/0", ""]
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(WireError):
        topics.parse_up(topic)


@pytest.mark.parametrize("gateway", ["", "a/b", "+", "#", "$SYS", "a b", "a\0"])
def test_a_gateway_id_that_would_be_another_topic_is_refused(gateway: str) -> None:
    with pytest.raises(ValueError, match="gateway id"):
        topics.up(gateway, "0")
