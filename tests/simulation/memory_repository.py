"""What cloud.ingest's repositories do in SQL, done on dicts."""

from collections.abc import Iterable, Mapping, Sequence

from cloud.ingest.clock_repository import Boot, Held
from cloud.ingest.dating import Fix
from cloud.ingest.repository import LaneKey, Refused
from protocols.delivery.envelope import Envelope
from protocols.delivery.messages import Hello
from protocols.delivery.receiver import Ahead, LaneState
from protocols.delivery.records import Reading
from tests.simulation.memory_store import (
    BlockedError,
    Replaced,
    RowKey,
    StoredBatch,
    Transaction,
)


class MemoryRepository:
    """The functions of cloud.ingest.repository on a Transaction."""

    def enrolled(self, transaction: Transaction, gateway_ids: Iterable[str]) -> set[str]:
        """Return those gateways that are on file, locked."""
        wanted = set(gateway_ids) & transaction.tables.gateways
        for other in transaction.store.open:
            if other is not transaction and other.locked & wanted:
                raise BlockedError
        transaction.locked |= wanted
        return wanted

    def owners(self, transaction: Transaction, device_ids: Iterable[str]) -> dict[str, str]:
        """Return the gateway of each device that is on file."""
        held = transaction.tables.owners
        return {device: held[device] for device in device_ids if device in held}

    def lock_lanes(
        self, transaction: Transaction, keys: Iterable[LaneKey]
    ) -> dict[LaneKey, LaneState]:
        """Return lanes as they stand, with what waits past their watermarks."""
        states: dict[LaneKey, LaneState] = {}
        for key in sorted(set(keys)):
            row = transaction.tables.lanes.get(key)
            if row is None:
                states[key] = LaneState(key[2])
                continue
            places = transaction.tables.places.get(key, {})
            ahead = {
                seq: Ahead(place.prev_hash, place.hash)
                for seq, place in places.items()
                if seq > row.through
            }
            states[key] = LaneState(key[2], row.through, row.hash_through, row.fenced, ahead)
        return states

    def save_lanes(self, transaction: Transaction, states: Mapping[LaneKey, LaneState]) -> None:
        """Store where lanes stand now; what waits is in `places`."""
        for key, state in states.items():
            transaction.lanes[key] = LaneState(
                state.epoch, state.through, state.hash_through, state.fenced
            )

    def note_fence(self, transaction: Transaction, key: LaneKey, reason: str) -> None:
        """Remember why an epoch was fenced: only people read it."""

    def payload_hashes(self, transaction: Transaction, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the payload hash of each known batch id."""
        held = transaction.tables.batches
        return {name: held[name].payload_hash for name in ids if name in held}

    def replaced_among(
        self, transaction: Transaction, wanted: Iterable[tuple[str, bytes]]
    ) -> set[tuple[str, bytes]]:
        """Return those of these (gateway, batch id) that another batch has replaced."""
        return transaction.tables.replaced.keys() & set(wanted)

    def held_among(self, transaction: Transaction, ids: Sequence[bytes]) -> set[bytes]:
        """Return those of these batch ids whose batch is held."""
        return transaction.tables.batches.keys() & set(ids)

    def store_replacements(self, transaction: Transaction, replaced: Sequence[Replaced]) -> None:
        """Remember for ever which batches were replaced."""
        transaction.replaced += replaced

    def envelope_hashes(
        self, transaction: Transaction, arrived: Sequence[Envelope]
    ) -> dict[tuple[LaneKey, int], bytes]:
        """Return the hashes that are held for the same places."""
        found: dict[tuple[LaneKey, int], bytes] = {}
        for item in arrived:
            key = (item.gateway, item.lane, item.epoch)
            place = transaction.tables.places.get(key, {}).get(item.seq)
            if place is not None:
                found[key, item.seq] = place.hash
        return found

    def store_batches(
        self,
        transaction: Transaction,
        arrived: Sequence[tuple[Envelope, bytes, int]],
        received_us: int,
    ) -> None:
        """Store new batches, and tell the outbox."""
        del received_us
        for item, digest, _ in arrived:
            stored = StoredBatch(item.gateway, item.lane, digest, item.payload)
            transaction.batches.append((item.batch_id, stored))
            transaction.outbox.append(item.batch_id)

    def store_envelopes(
        self, transaction: Transaction, arrived: Sequence[Envelope], received_us: int
    ) -> None:
        """Store the places of batches."""
        del received_us
        transaction.placed += arrived

    def store_refused(
        self, transaction: Transaction, refused: Sequence[Refused], received_us: int
    ) -> None:
        """Put what makes no sense into quarantine."""
        del received_us
        transaction.refused += refused

    def generation(self, transaction: Transaction, gateway: str) -> int:
        """Return the generation that this gateway's ACKs carry."""
        if gateway in transaction.generations:
            return transaction.generations[gateway]
        return transaction.tables.generations.get(gateway, 1)

    def set_generation(self, transaction: Transaction, gateway: str, value: int) -> None:
        """Remember a generation."""
        transaction.generations[gateway] = value

    def note_hello(
        self, transaction: Transaction, gateway: str, hello: Hello, seen_us: int
    ) -> None:
        """Nothing of the delivery depends on it."""

    def note_seen(
        self, transaction: Transaction, batches_of: Mapping[str, int], seen_us: int
    ) -> None:
        """Nothing of the delivery depends on it."""

    def store(
        self, transaction: Transaction, arrived: Sequence[tuple[str, bytes, Sequence[Reading]]]
    ) -> None:
        """Do what cloud.telemetry.repository.store does: keep the rows."""
        for gateway, batch_id, readings in arrived:
            transaction.readings += [(row_key(gateway, row), batch_id) for row in readings]


class MemoryClocks:
    """The functions of cloud.ingest.clock_repository on a Transaction."""

    def add_fixes(self, transaction: Transaction, fixes: Mapping[Boot, Sequence[Fix]]) -> None:
        """Remember what gateways' boots know of their time; what is there stays."""
        for boot, known in fixes.items():
            for fix in known:
                transaction.fixes.setdefault((boot, fix.monotonic_us), fix)

    def fixes_of(self, transaction: Transaction, boots: Iterable[Boot]) -> dict[Boot, list[Fix]]:
        """Return what is known of some boots' time, each in order."""
        wanted = set(boots)
        found: dict[Boot, list[Fix]] = {}
        if wanted:
            every = transaction.fixes | transaction.tables.fixes
            for (boot, _), fix in sorted(every.items()):
                if boot in wanted:
                    found.setdefault(boot, []).append(fix)
        return found

    def hold(self, transaction: Transaction, waiting: Mapping[tuple[bytes, Boot], int]) -> None:
        """Note how many readings of a boot wait for a date, by (the holding batch, boot)."""
        transaction.held.update(waiting)

    def release(self, transaction: Transaction, boots: Iterable[Boot]) -> list[Held]:
        """Take what waits for the time of some boots out, by the batch that holds it."""
        wanted = set(boots)
        tables = transaction.tables
        places = [place for place in tables.undated if place[1] in wanted]
        transaction.released.update(places)
        boots_of: dict[bytes, set[bytes]] = {}
        for name, (_, boot) in places:
            boots_of.setdefault(name, set()).add(boot)
        quarantined = {item.batch_id for item in tables.quarantine} if places else set()
        return [
            Held(
                tables.batches[name].gateway,
                name,
                tables.batches[name].payload,
                frozenset(boots_of[name]),
                frozenset(
                    one.replaced_id
                    for one in tables.replaced.values()
                    if one.batch_id == name and one.stored
                ),
                name in quarantined,
            )
            for name in sorted(boots_of)
        ]


def row_key(gateway: str, row: Reading) -> RowKey:
    """Return what makes a reading the same reading."""
    return RowKey(gateway, row.device, row.point, row.read_at_us, row.count, int(row.quality))
