"""The HELLOs of a gateway: which are answered when, and so what the cloud's time can be."""

import secrets
from collections import deque
from typing import Final

from protocols.commands import HEARD_FOR_US, Heard

# a command may answer one of so many of the last HELLOs, while they are young
KEPT: Final = 3
# the tightest answer of so long is kept: quartz drifts by less than 10 ms meanwhile
BEST_OF_US: Final = 120_000_000


class Greetings:
    """A fresh nonce for each HELLO, and the answer that says most about the cloud's time."""

    def __init__(self) -> None:
        self._asked: deque[tuple[str, int]] = deque(maxlen=KEPT)
        self._answers: deque[Heard] = deque(maxlen=10)

    def greet(self, now_us: int) -> str:
        """Return the nonce of a HELLO that leaves at a monotonic instant."""
        nonce = secrets.token_hex(16)
        self._asked.append((nonce, now_us))
        return nonce

    def answered(self, nonce: str, server_us: int, now_us: int) -> None:
        """Take the cloud's time from the answer to a HELLO; any other says nothing."""
        asked_us = dict(self._asked).get(nonce)
        if nonce and asked_us is not None:
            self._answers.append(Heard(server_us, asked_us, now_us))

    def nonces(self, now_us: int) -> tuple[str, ...]:
        """Return the nonces of the last HELLOs, the oldest first."""
        return tuple(nonce for nonce, asked_us in self._asked if now_us - asked_us <= HEARD_FOR_US)

    def heard(self, now_us: int) -> Heard | None:
        """Return the tightest of the last two minutes, the latest if none is; None without any."""
        young = [each for each in self._answers if now_us - each.heard_us <= BEST_OF_US]
        if not young:
            return self._answers[-1] if self._answers else None
        return min(young, key=lambda each: each.heard_us - each.asked_us)
