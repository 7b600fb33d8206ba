"""The cloud's tables as dicts: what cloud.ingest.repository does in SQL, for thousands of runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cloud.ingest.clock_repository import Boot
from cloud.ingest.dating import Fix
from cloud.ingest.repository import LaneKey, Refused
from protocols.delivery.envelope import Envelope
from protocols.delivery.receiver import LaneState


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
    batch_id: bytes
    stored: bool


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
    # rows that came a second time, under another batch
    doubled: list[RowKey] = field(default_factory=list)
    fixes: dict[tuple[Boot, int], Fix] = field(default_factory=dict)
    undated: dict[tuple[bytes, Boot], int] = field(default_factory=dict)

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
            list(self.doubled),
            dict(self.fixes),
            dict(self.undated),
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
        self.fixes: dict[tuple[Boot, int], Fix] = {}
        self.held: dict[tuple[bytes, Boot], int] = {}
        self.released: set[tuple[bytes, Boot]] = set()

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
            if (before := tables.readings.get(row, name)) != name:
                tables.doubled.append(row)
            tables.readings[row] = min(name, before)
        tables.replaced.update({(one.gateway_id, one.replaced_id): one for one in self.replaced})
        tables.fixes = self.fixes | tables.fixes if self.fixes else tables.fixes
        tables.undated.update(self.held)
        for place in self.released:
            del tables.undated[place]
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

    def history(self) -> Tables:
        """Return what is committed, as `view` does."""
        return self.tables
