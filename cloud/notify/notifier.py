"""The port by which a message leaves the service."""

from dataclasses import dataclass
from typing import Protocol


class NotSentError(Exception):
    """A message that was not taken; the text says why and holds no secret."""


@dataclass(frozen=True)
class Outgoing:
    """A message on its way: the receiver may tell repeats by its id."""

    id: int
    recipient: str
    text: str


class Notifier(Protocol):
    """One way out; to send blocks for seconds at most."""

    def send(self, message: Outgoing) -> None:
        """Hand a message over; NotSentError where it was not taken."""
