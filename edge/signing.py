"""The gateway's key, and its signatures over what the journal holds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devices.driver import Clock
from edge.journal import Journal, JournalFullError
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event
from protocols.delivery.signature import KEY_MADE, SIG, key_text, public_bytes, sign

# a late loop still keeps the minute that is promised
SIGN_S: Final = 50.0
# the key that the cloud was told of
_TOLD: Final = "signing_key"

log = structlog.get_logger("signing")


@dataclass(frozen=True)
class _Place:
    epoch: int
    seq: int
    hash: bytes


def key_path(data_dir: Path, gateway: str) -> Path:
    """Return where a gateway's private key is kept."""
    return data_dir / f"{gateway}.key"


class Signer:
    """Signs the newest sealed batch of each lane, as events in lane 0.

    The signature of a lane covers all batches before it in the chain. That of lane 0 covers what
    came before its own batch; signatures alone are nothing new and call for no other.
    """

    def __init__(
        self,
        journal: Journal,
        key: Ed25519PrivateKey,
        *,
        clock: Clock,
        sealed: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._key = key
        self._clock = clock
        self._sealed = sealed
        self._signed: dict[int, _Place] = {}
        self._looked: _Place | None = None

    async def run(self) -> None:
        """Sign what is held, then what is new every 50 seconds, for ever."""
        while True:
            await self.sign()
            await asyncio.sleep(SIGN_S)

    async def sign(self) -> None:
        """Sign what is new since the last time; it is on disk when this returns."""
        work = asyncio.create_task(asyncio.to_thread(self._sign), name="signing")
        try:
            if await asyncio.shield(work):
                self._sealed()
        except JournalFullError as error:
            # what has no room for events has none for signatures: the next ones cover it
            log.error("signature_refused", reason=str(error))
        finally:
            # a thread cannot be cancelled, and the journal must not be closed under it
            await asyncio.wait({work})
            work.exception()

    def _sign(self) -> bool:
        self._introduce()
        events: list[Event] = []
        signed: dict[int, _Place] = {}
        newest = {lane: self._newest(lane) for lane in (LANE_READINGS, LANE_EVENTS)}
        for lane, place in newest.items():
            if place is None or not self._is_new(lane, place):
                continue
            made = sign(
                self._key,
                gateway=self._journal.gateway,
                lane=lane,
                epoch=place.epoch,
                seq=place.seq,
                digest=place.hash,
            )
            events.append(self._event(SIG, made.to_body()))
            signed[lane] = place
        if events:
            self._append(events)
        # not before: what was looked at and could not be signed is looked at again
        self._signed |= signed
        self._looked = newest[LANE_EVENTS] or self._looked
        return bool(events)

    def _introduce(self) -> None:
        # told once per key, also if the journal or the key was lost
        public = key_text(public_bytes(self._key))
        if self._journal.mark(_TOLD) != public:
            log.info(KEY_MADE, public_key=public)
            self._append([self._event(KEY_MADE, {"public_key": public})], {_TOLD: public})

    def _newest(self, lane: int) -> _Place | None:
        while True:
            status = self._journal.status(lane)
            digest = self._journal.hash_at(lane, status.next - 1)
            # a new epoch in between has other hashes
            if self._journal.status(lane).epoch == status.epoch:
                return None if digest is None else _Place(status.epoch, status.next - 1, digest)

    def _is_new(self, lane: int, place: _Place) -> bool:
        before = self._signed.get(lane)
        if before is None or before.epoch != place.epoch or lane == LANE_READINGS:
            return place != before
        looked = self._looked or before
        first = looked.seq + 1 if looked.epoch == place.epoch else before.seq + 1
        return any(self._tells_more(seq) for seq in range(first, place.seq + 1))

    def _tells_more(self, seq: int) -> bool:
        packed = self._journal.envelope(LANE_EVENTS, seq)
        if packed is None:
            return False
        records = batch.records(batch.decode(envelope.unpack(packed).payload))
        return any(not isinstance(record, Event) or record.kind != SIG for record in records)

    def _append(self, events: list[Event], marks: dict[str, str] | None = None) -> None:
        now_us = self._clock.now_us()
        self._journal.append(LANE_EVENTS, events, marks=marks, seal_at_us=now_us)

    def _event(self, kind: str, body: dict[str, str | int | None]) -> Event:
        return Event("", kind, self._clock.now_us(), self._clock.monotonic_us(), body)
