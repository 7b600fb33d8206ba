"""MQTT topics of the delivery protocol: build and parse."""

from typing import Final, Literal, NamedTuple

from protocols.errors import WireError

UP_FILTER: Final = "v1/up/+/+"
# the broker gives each message to one of those who subscribed so
SHARED_UP_FILTER: Final = f"$share/ingest/{UP_FILTER}"
UpKind = Literal["hello", "0", "1"]
DownKind = Literal["ack", "cmd", "config"]
_UP_KINDS: Final = ("hello", "0", "1")
_UP_PARTS: Final = 4
_FORBIDDEN: Final = frozenset("/+#$\0 ")


class Up(NamedTuple):
    """Where a message of a gateway came in."""

    gateway: str
    kind: str


def up(gateway: str, kind: UpKind) -> str:
    """Return the topic on which `gateway` publishes."""
    return f"v1/up/{checked_id(gateway)}/{kind}"


def down(gateway: str, kind: DownKind) -> str:
    """Return the topic to which `gateway` listens."""
    return f"v1/dn/{checked_id(gateway)}/{kind}"


def parse_up(topic: str) -> Up:
    """Return who published what; WireError for any other topic."""
    parts = topic.split("/")
    if len(parts) != _UP_PARTS or parts[:2] != ["v1", "up"] or parts[3] not in _UP_KINDS:
        message = f"topic {topic!r} is none of v1/up/GATEWAY/{{hello,0,1}}"
        raise WireError(message)
    return Up(parts[2], parts[3])


def checked_id(gateway: str) -> str:
    """Return a gateway id that is safe in a topic; ValueError otherwise."""
    if not gateway or _FORBIDDEN.intersection(gateway):
        message = f"gateway id {gateway!r}: allowed are names without / + # $ and spaces"
        raise ValueError(message)
    return gateway
