"""Somebody with a gateway's account who seals other bytes in the place or by the id of a batch."""

from random import Random
from typing import TYPE_CHECKING

import msgspec

from tests.simulation.network import Message
from tests.simulation.wire_format import chain_hash, read_envelope

if TYPE_CHECKING:
    from tests.simulation.world import World

_WORLDS = 1 / 8
_CHANCE = 0.2
_MOST = 6


class Forger:
    """Forges what the cloud holds already: what came first is the truth, and stays.

    It draws by itself, so that seeds without it stay as they are. A cloud that forgets would take
    the forgery for the truth: nobody could tell.
    """

    def __init__(self, world: "World") -> None:
        plan = world.plan
        self._world = world
        self._rng = Random(f"forger of {world.seed}")
        sound = plan.cloud_restores == 0 and plan.limit_bytes is None and plan.damages == 0
        self._left = _MOST if self._rng.random() < _WORLDS and sound else 0

    def forged(self, message: Message) -> list[Message]:
        """Return what comes beside a message of a gateway."""
        if not self._left or self._world.broker.calm or message.topic.endswith("hello"):
            return []
        if self._rng.random() >= _CHANCE:
            return []
        try:
            place = read_envelope(message.payload)
        except (msgspec.DecodeError, TypeError, ValueError):
            return []
        if place.batch_id not in self._world.cloud.store.view().batches:
            return []
        self._left -= 1
        # another batch in its place, or its id once more in the next one
        changed = place._replace(payload=place.payload + b"\0")
        if self._rng.random() < 0.7:
            changed = changed._replace(seq=place.seq + 1, prev_hash=place.hash)
        changed = changed._replace(hash=chain_hash(changed))
        self._world.trace("forger", "seals", changed.lane, changed.epoch & 0xFFFF, changed.seq)
        return [Message(message.topic, msgspec.msgpack.encode(list(changed)))]
