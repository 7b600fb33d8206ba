"""The cloud's tables as dicts: what cloud.ingest.repository does in SQL, for thousands of runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cloud.ingest.repository import LaneKey, Refused
from protocols.delivery.envelope import Envelope
from protocols.delivery.messages import Hello
from protocols.delivery.receiver import Ahead, LaneState
from protocols.delivery.records import Reading


class BlockedError(Exception):
    """Another transaction holds the row: wait for its end and begin again."""


class ConflictError(Exception):
    """A row with this primary key is there already."""


class RowKey(NamedTuple):
    """What makes a reading the same reading to the history (cloud.telemetry.chunk.merge)."""

    gateway: str
    device: str
    point: str
    read_at_us: int
    count: int | None
    quality: int


class Replaced(Protocol):
    """A row of `replaced_batches`: a batch in whose place another stands."""

    gateway_id: str
    replaced_id: bytes


@dataclass(frozen=True)
class StoredBatch:
    """A row of `batches`."""

    gateway: str
    lane: int
    payload_hash: bytes
    payload: bytes


@dataclass
class Tables:
    """What is committed."""

    gateways: frozenset[str] = frozenset()
    owners: dict[str, str] = field(default_factory=dict)
    lanes: dict[LaneKey, LaneState] = field(default_factory=dict)
    places: dict[LaneKey, dict[int, Envelope]] = field(default_factory=dict)
    batches: dict[bytes, StoredBatch] = field(default_factory=dict)
    outbox: list[bytes] = field(default_factory=list)
    quarantine: list[Refused] = field(default_factory=list)
    generations: dict[str, int] = field(default_factory=dict)
    readings: dict[RowKey, bytes] = field(default_factory=dict)
    replaced: dict[tuple[str, bytes], Replaced] = field(default_factory=dict)

    def copy(self) -> "Tables":
        """Return a copy that later commits do not change."""
        return Tables(
            self.gateways,
            dict(self.owners),
            dict(self.lanes),
            {key: dict(places) for key, places in self.places.items()},
            dict(self.batches),
            list(self.outbox),
            list(self.quarantine),
            dict(self.generations),
            dict(self.readings),
            dict(self.replaced),
        )


class Transaction:
    """Reads what is committed, keeps its writes to itself until it commits."""

    def __init__(self, store: "MemoryStore") -> None:
        self.store = store
        self.tables = store.tables
        self.locked: set[str] = set()
        self.lanes: dict[LaneKey, LaneState] = {}
        self.placed: list[Envelope] = []
        self.batches: list[tuple[bytes, StoredBatch]] = []
        self.outbox: list[bytes] = []
        self.refused: list[Refused] = []
        self.generations: dict[str, int] = {}
        self.readings: list[tuple[RowKey, bytes]] = []
        self.replaced: list[Replaced] = []

    def commit(self) -> None:
        """Make all of it durable, or nothing: ConflictError for a primary key that is there."""
        tables = self.tables
        names = [name for name, _ in self.batches]
        clash = len(set(names)) < len(names) or any(name in tables.batches for name in names)
        places = [((e.gateway, e.lane, e.epoch), e) for e in self.placed]
        if clash or any(e.seq in tables.places.get(key, ()) for key, e in places):
            self.rollback()
            raise ConflictError
        for key, envelope in places:
            tables.places.setdefault(key, {})[envelope.seq] = envelope
        tables.lanes.update(self.lanes)
        tables.batches.update(self.batches)
        tables.outbox += self.outbox
        tables.quarantine += self.refused
        tables.generations.update(self.generations)
        for row, name in self.readings:
            # a reading that is there already is not doubled; the lowest batch id stays
            tables.readings[row] = min(name, tables.readings.get(row, name))
        tables.replaced.update({(one.gateway_id, one.replaced_id): one for one in self.replaced})
        self.rollback()

    def rollback(self) -> None:
        """Let go of the locks."""
        if self in self.store.open:
            self.store.open.remove(self)


class MemoryStore:
    """A database that lives as long as the simulation."""

    def __init__(self, gateways: Iterable[str], owners: Mapping[str, str]) -> None:
        self.tables = Tables(frozenset(gateways), dict(owners))
        self.open: list[Transaction] = []

    def begin(self) -> Transaction:
        """Open a transaction."""
        transaction = Transaction(self)
        self.open.append(transaction)
        return transaction

    def image(self) -> Tables:
        """Return a backup."""
        return self.tables.copy()

    def put_back(self, image: Tables) -> None:
        """Be an older copy from now on."""
        self.tables = image.copy()
        self.open.clear()

    def view(self) -> Tables:
        """Return what is committed."""
        return self.tables


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


def row_key(gateway: str, row: Reading) -> RowKey:
    """Return what makes a reading the same reading."""
    return RowKey(gateway, row.device, row.point, row.read_at_us, row.count, int(row.quality))
