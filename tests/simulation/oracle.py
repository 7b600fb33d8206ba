"""The oracle: knows what was appended, watches what is sent, stored and answered, and judges."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from cloud.ingest.service import Incoming
from protocols.delivery import messages
from protocols.delivery.records import Event, Record
from tests.simulation import ledger, signatures
from tests.simulation.account import Account
from tests.simulation.dating import Dating
from tests.simulation.fairness import Stopwatch
from tests.simulation.ledger import Violation
from tests.simulation.memory_store import Tables
from tests.simulation.wire_format import (
    GENESIS,
    Contents,
    Place,
    Row,
    Told,
    chain_hash,
    read_envelope,
    read_payload,
)

if TYPE_CHECKING:
    from tests.simulation.gateway import GatewayNode
    from tests.simulation.world import World

Key = tuple[str, int, int]
Answered = tuple[str, messages.Answer]


class Seen:
    """A batch as it was first sent; `groups` and `kept` are of the batches that it replaces."""

    def __init__(
        self, gateway: str, digest: bytes, contents: Contents | None, numbers: frozenset[int]
    ) -> None:
        self.gateway = gateway
        self.digest = digest
        self.rows = None if contents is None else contents.rows
        self.told: list[Told] = [] if contents is None else contents.told
        self.groups: dict[bytes, list[Row]] = {} if contents is None else contents.kept
        self.kept = [number_of(row) for rows in self.groups.values() for row in rows]
        self.numbers = numbers


class Oracle:
    """Shares no code with the protocol: it reads the documented layouts by itself."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.records: dict[int, tuple[str, Row]] = {}
        self.owners: dict[int, str] = {}
        self.poison: dict[bytes, frozenset[int]] = {}
        self.batches: dict[bytes, Seen] = {}
        self.copied: set[int] = set()
        self.account = Account(self)
        self.dating = Dating(self)
        self.stopwatch: Stopwatch | None = None
        self._links: dict[tuple[str, int, int], dict[int, bytes]] = {}
        self._through: dict[Key, int] = {}
        self._digests: dict[Key, bytes] = {}
        self._fenced: set[Key] = set()
        self._windows: dict[tuple[str, int], ledger.Window] = {}
        self._read: dict[bytes, tuple[Contents, bytes] | None] = {}

    def appended(self, number: int, record: Record, gateway: str) -> None:
        """Take note of a record before it is given to the journal."""
        self.owners[number] = gateway
        self.records[number] = (gateway, as_row(record))
        self.dating.read(number, self.world.true_us())

    def poisoned(self, payload: bytes, numbers: Iterable[int]) -> None:
        """Take note of a payload that nobody will be able to decode."""
        self.poison[hashlib.sha256(payload).digest()] = frozenset(numbers)

    def read(self, payload: bytes, digest: bytes) -> tuple[Contents, bytes] | None:
        """Return what `wire_format.read_payload` does, read once for each SHA-256."""
        if digest not in self._read:
            self._read[digest] = read_payload(payload)
        return self._read[digest]

    def session(self, node: "GatewayNode") -> None:
        """A gateway begins a session: nothing on its way before counts."""
        for lane in (0, 1):
            self._windows[node.name, lane] = ledger.Window()

    def sent(self, node: "GatewayNode", topic: str, payload: bytes) -> None:
        """Check a message of a gateway before the network has it."""
        if topic != f"v1/up/{node.gateway}/{topic.rsplit('/', 1)[1]}":
            raise Violation("I10", f"{node.name} publishes on {topic}")
        if topic.endswith("hello"):
            return
        place = read_envelope(payload)
        if self.stopwatch is not None:
            self.stopwatch.sent(node, place, self.world.loop.now_s)
        self.world.trace(node.name, "sends", place.lane, place.epoch & 0xFFFF, place.seq)
        if chain_hash(place) != place.hash or topic[-1] != str(place.lane):
            raise Violation("I5", f"{node.name} sends an envelope that is not what it says")
        self._windows[node.name, place.lane].send(node.name, place.epoch, place.seq)
        self._check_links(node, place)
        node.check_bounds()
        seen = self.batches.get(place.batch_id)
        digest = hashlib.sha256(place.payload).digest()
        if seen is None:
            seen = self.batches[place.batch_id] = self._first_sight(place, digest)
        if seen.digest != digest or seen.gateway != place.gateway:
            raise Violation("I3", f"batch {place.batch_id.hex()} was sealed twice", kind="mutated")
        unknown = seen.numbers - node.disk.committed - node.disk.doubtful
        if unknown:
            raise Violation("rule 1", f"{node.name} sends {sorted(unknown)}, never committed")

    def told(self, node: "GatewayNode", payload: bytes) -> None:
        """Take note of an answer that reached a gateway."""
        answer = msgspec.json.decode(payload)
        if self.stopwatch is not None:
            self.stopwatch.told(node, answer, self.world.loop.now_s)
        self.dating.told(node.gateway, answer, self.world.true_us())
        window = self._windows.get((node.name, answer["lane"]))
        if window is not None:
            window.take(answer)

    def committed(self, group: Iterable[Incoming], answers: Iterable[Answered]) -> None:
        """Check the store after a transaction that took this group and will answer so."""
        tables = self.world.cloud.store.view()
        came: dict[Key, list[Place]] = {}
        for message in group:
            gateway, kind = message.topic.split("/")[2:]
            if kind == "hello":
                self._check_hello(tables, gateway, message.payload)
            elif (place := _believable(gateway, kind, message.payload)) is not None:
                came.setdefault((place.gateway, place.lane, place.epoch), []).append(place)
        for gateway, answer in answers:
            key = (gateway, answer.lane, answer.epoch)
            if isinstance(answer, messages.Ack) and tables.lanes[key].fenced:
                raise Violation("rule 3", f"{key} is fenced and acknowledged")
        for key, places in sorted(came.items()):
            self._check_came(tables, key, places)
            self._check_bounds(tables, key)

    def answered(self, gateway: str, answer: messages.Answer) -> None:
        """Check an answer of the cloud against what is durable at that moment."""
        tables = self.world.cloud.store.view()
        key = (gateway, answer.lane, answer.epoch)
        self.world.trace("cloud", "answers", gateway, answer)
        if isinstance(answer, messages.Ack):
            ledger.check_ack(tables, key, answer, window=self.world.window)
            if answer.through > self._through.get(key, 0):
                raise Violation("I4", f"{key} is acknowledged up to {answer.through}")
        elif isinstance(answer, messages.Fence):
            if not tables.lanes[key].fenced:
                raise Violation("I4", f"{key} is fenced in the answer only")
        else:
            ledger.check_nack(tables, key, answer.seq)

    def cloud_restored(self) -> None:
        """The store is an older copy: what it says of itself begins anew."""
        tables = self.world.cloud.store.view()
        self._through = {key: lane.through for key, lane in tables.lanes.items()}
        self._digests = {key: lane.hash_through for key, lane in tables.lanes.items()}
        self._fenced = {key for key, lane in tables.lanes.items() if lane.fenced}

    def finish(self) -> None:
        """Judge the end, when everything has drained."""
        tables = self.world.cloud.store.history()
        ledger.judge(self, tables, self.world.nodes)
        if self.world.plan.signs:
            signatures.judge(self, tables, self.world.nodes)

    def number_of(self, row: Row) -> int:
        """Return the number that the simulation gave to a record."""
        return number_of(row)

    def _first_sight(self, place: Place, digest: bytes) -> Seen:
        numbers = self.poison.get(digest)
        if numbers is not None:
            return Seen(place.gateway, digest, None, numbers)
        read = self.read(place.payload, digest)
        if read is None:
            raise Violation("I3", f"batch {place.batch_id.hex()} is no payload", kind="mutated")
        contents, root = read
        found: list[int] = []
        for row in contents.all_rows():
            number = number_of(row)
            gateway, appended = self.records.get(number, ("", None))
            if appended != row or gateway != place.gateway:
                text = f"{place.gateway} sends {row}, appended was {appended} at {gateway}"
                raise Violation("I3", text, kind="mutated")
            found.append(number)
        if [name for name, times in Counter(found).items() if times > 1]:
            raise Violation("I2", f"batch {place.batch_id.hex()} repeats", kind="duplicated")
        if root != place.root:
            raise Violation("root", f"batch {place.batch_id.hex()} has another Merkle root")
        return Seen(place.gateway, digest, contents, frozenset(map(number_of, contents.rows)))

    def _check_links(self, node: "GatewayNode", place: Place) -> None:
        # one disk has one chain in each epoch, until it is another disk
        links = self._links.setdefault((node.disk_name(), place.lane, place.epoch), {})
        links[place.seq] = place.hash
        if links.get(place.seq - 1, place.prev_hash) != place.prev_hash or (
            place.seq == 1 and place.prev_hash != GENESIS
        ):
            raise Violation("I5", f"{node.name} chains {place.seq} to something else")

    def _check_came(self, tables: Tables, key: Key, places: list[Place]) -> None:
        was_fenced = key in self._fenced
        forked = False
        for place in places:
            if _is_fork(tables, key, place):
                forked = True
                ledger.check_fork(tables, key, place)
            elif not was_fenced:
                self._check_kept(tables, key, place)
        self._check_lane(tables, key)
        if key in self._fenced and not was_fenced:
            ledger.check_fence(tables, key, places, forked=forked)

    def _check_bounds(self, tables: Tables, key: Key) -> None:
        # what waits past the watermark is all of a lane's state that grows
        lane = tables.lanes.get(key)
        if lane is not None and not lane.fenced:
            ahead = len(tables.places.get(key, ())) - lane.through
            if ahead > self.world.window:
                raise Violation("I11", f"{key} has {ahead} batches past its watermark")

    def _check_hello(self, tables: Tables, gateway: str, payload: bytes) -> None:
        try:
            hello = msgspec.json.decode(payload, type=messages.Hello)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if gateway in tables.gateways:
            for report in hello.lanes:
                self._check_generation(tables, gateway, report)

    def _check_kept(self, tables: Tables, key: Key, place: Place) -> None:
        lane = tables.lanes.get(key)
        if lane is None:
            raise Violation("I1", f"{key} came and left no lane")
        if lane.fenced:
            return
        held = tables.places.get(key, {}).get(place.seq)
        if place.seq <= self._through.get(key, 0) + self.world.window:
            if held is None or not ledger.is_known(tables, key[0], place.batch_id):
                raise Violation("rule 2", f"{key} batch {place.seq} came in the window, not kept")
        elif held is not None and place.seq > lane.through + self.world.window:
            raise Violation("I11", f"{key} batch {place.seq} is stored past the window")

    def _check_lane(self, tables: Tables, key: Key) -> None:
        lane = tables.lanes.get(key)
        if lane is None:
            return
        through, digest = self._through.get(key, 0), self._digests.get(key, GENESIS)
        if lane.through < through:
            raise Violation("I6", f"{key} falls from {through} to {lane.through}")
        if key in self._fenced and not lane.fenced:
            raise Violation("I7", f"{key} is no longer fenced")
        if key in self._fenced and lane.through > through:
            raise Violation("I7", f"{key} is fenced and moves on")
        for seq in range(through + 1, lane.through + 1):
            digest = ledger.check_link(tables, key, seq, digest)
        if digest != lane.hash_through:
            raise Violation("I5", f"{key}: the hash of {lane.through} is not its chain's")
        self._through[key], self._digests[key] = lane.through, digest
        if lane.fenced:
            self._fenced.add(key)

    def _check_generation(self, tables: Tables, gateway: str, report: messages.LaneReport) -> None:
        number = tables.generations.get(gateway, 1)
        lane = tables.lanes.get((gateway, report.lane, report.epoch))
        through = 0 if lane is None else lane.through
        behind = through < report.acked
        if number < report.generation or (behind and number <= report.generation):
            text = f"{gateway} says generation {report.generation}, acknowledged"
            raise Violation("rule 5", f"{text} {report.acked}; we {number}, {through}")


def as_row(record: Record) -> Row:
    """Return what of a record must arrive."""
    if isinstance(record, Event):
        number = record.body["number"]
        assert isinstance(number, int)
        return Row(record.device, record.kind, number, record.at_us, record.monotonic_us, 0, b"")
    return Row(
        record.device,
        record.point,
        record.count,
        record.read_at_us,
        record.monotonic_us,
        int(record.quality),
        record.words,
    )


def number_of(row: Row) -> int:
    """Return the number that the simulation gave to a record."""
    return int.from_bytes(row.words[:8], "big") if row.words else row.number or 0


def _believable(gateway: str, kind: str, payload: bytes) -> Place | None:
    try:
        place = read_envelope(payload)
        if place.version != 1 or chain_hash(place) != place.hash:
            return None
    except (msgspec.DecodeError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return place if (place.gateway, str(place.lane)) == (gateway, kind) else None


def _is_fork(tables: Tables, key: Key, place: Place) -> bool:
    held = tables.places.get(key, {}).get(place.seq)
    batch = tables.batches.get(place.batch_id)
    other = batch is not None and batch.payload_hash != hashlib.sha256(place.payload).digest()
    return other or (held is not None and held.hash != place.hash)
