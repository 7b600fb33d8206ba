"""The port of a server that keeps lines."""

from typing import Protocol


class NotMirroredError(Exception):
    """The server did not take what was sent."""


class Server(Protocol):
    """Where lines go."""

    def write(self, body: bytes) -> None:
        """Hand over lines with nanoseconds; NotMirroredError if they are not all taken."""
