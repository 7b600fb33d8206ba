"""A group of messages becomes one transaction; what it acknowledges is then durable."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, Protocol

import msgspec
from sqlalchemy import Connection

from cloud.ingest import clocks, repository
from cloud.ingest.clocks import Part
from cloud.ingest.limits import good_rows, lost_reason
from cloud.ingest.repository import LaneKey, Refused, Replacement
from cloud.telemetry import repository as telemetry
from protocols.delivery import batch, envelope, messages, receiver, topics
from protocols.delivery.envelope import Envelope
from protocols.delivery.receiver import Fate, Known, LaneState
from protocols.delivery.records import Event, Reading
from protocols.errors import WireError
from protocols.failpoint import reach

# why a batch is in quarantine that was begun again and again and never finished
DEADLY: Final = "reading it ended the worker again and again"


@dataclass(frozen=True)
class Incoming:
    """A message as the broker gave it."""

    topic: str
    payload: bytes


@dataclass
class Outcome:
    """What one group came to: answers by gateway, counts for the metrics."""

    answers: list[tuple[str, messages.Answer]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    readings: int = 0


class Sealed(Protocol):
    """A batch as its gateway sealed it, whatever it comes in."""

    @property
    def gateway(self) -> str:
        """Whose it is."""

    @property
    def lane(self) -> int:
        """Its lane."""

    @property
    def batch_id(self) -> bytes:
        """Its id."""

    @property
    def payload(self) -> bytes:
        """Its bytes."""


@dataclass(frozen=True)
class Again:
    """What came of a batch that was read again: its records, what is stored, what waits."""

    records: int
    stored: int
    waiting: int


@dataclass
class _Arrived:
    envelope: Sealed
    count: int
    parts: list[Part]
    events: Sequence[Event] = ()

    @property
    def good(self) -> list[Reading]:
        return list(chain.from_iterable(part.rows for part in self.parts))


@dataclass
class _Group:
    states: dict[LaneKey, LaneState]
    payloads: dict[bytes, bytes]
    places: dict[tuple[LaneKey, int], bytes]
    new: list[tuple[Envelope, bytes, int]] = field(default_factory=list)
    placed: list[Envelope] = field(default_factory=list)
    readings: list[_Arrived] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    fences: dict[LaneKey, str] = field(default_factory=dict)
    replaced: set[tuple[str, bytes]] = field(default_factory=set)
    replacements: list[Replacement] = field(default_factory=list)
    # hashes of envelopes whose payload must not be read
    deadly: set[bytes] = field(default_factory=set)
    # what the one batch that is read again stands for already
    mine: set[bytes] = field(default_factory=set)


class _DeadlyError(WireError):
    pass


def process(
    connection: Connection,
    group: Sequence[Incoming],
    now_us: int,
    *,
    deadly: AbstractSet[Incoming] = frozenset(),
) -> Outcome:
    """Store a group of messages within the caller's transaction; answer after its commit.

    What is `deadly` is poison, and is not read to find that out.
    """
    outcome = Outcome()
    hellos: list[tuple[str, messages.Hello]] = []
    arrived: list[Envelope] = []
    unread: set[bytes] = set()
    for message in group:
        try:
            source = topics.parse_up(message.topic)
            if source.kind == "hello":
                hellos.append((source.gateway, messages.unpack_hello(message.payload)))
                continue
            packed = envelope.unpack(message.payload)
        except WireError:
            outcome.counts["dropped_nonsense"] += 1
            continue
        if (packed.gateway, str(packed.lane)) != (source.gateway, source.kind):
            outcome.counts["dropped_foreign"] += 1
            continue
        arrived.append(packed)
        if message in deadly:
            unread.add(packed.hash)
    known = repository.enrolled(
        connection, [item.gateway for item in arrived] + [gateway for gateway, _ in hellos]
    )
    strangers = [item for item in arrived if item.gateway not in known]
    outcome.counts["dropped_unknown_gateway"] += len(strangers)
    arrived = [item for item in arrived if item.gateway in known]
    hellos = [(gateway, hello) for gateway, hello in hellos if gateway in known]
    _store(connection, arrived, hellos, outcome, now_us=now_us, unread=unread)
    return outcome


def store_again(connection: Connection, item: Sealed, now_us: int, *, is_new: bool) -> Again | None:
    """Store what of a batch can be stored now and was not before, as if it came now.

    None, and nothing is written, where one that is not new has only what still can't be stored.
    WireError if it still cannot be read.
    """
    payload = batch.decode(item.payload)
    rows = {id(columns): good_rows(columns) for columns in batch.all_series(payload)}
    group = _Group({}, {}, {}, mine=repository.stored_for(connection, item.batch_id))
    read = _open(connection, group, item, payload, rows)
    group.readings.append(read)
    _screen(connection, group, Outcome())
    read.parts = [replace(part, rows=telemetry.not_stored(connection, part)) for part in read.parts]
    fresh = len(read.good)
    if group.refused and not fresh and not is_new:
        return None
    repository.store_replacements(connection, group.replacements)
    stored = _settle(connection, group, now_us)
    return Again(read.count + len(payload.events), stored, fresh - stored)


def _store(
    connection: Connection,
    arrived: Sequence[Envelope],
    hellos: Sequence[tuple[str, messages.Hello]],
    outcome: Outcome,
    *,
    now_us: int,
    unread: set[bytes],
) -> None:
    keys = {_key(item) for item in arrived}
    keys |= {
        (gateway, report.lane, report.epoch) for gateway, hello in hellos for report in hello.lanes
    }
    group = _Group(
        repository.lock_lanes(connection, keys),
        repository.payload_hashes(connection, [item.batch_id for item in arrived]),
        repository.envelope_hashes(connection, arrived) if arrived else {},
        replaced=repository.replaced_among(
            connection, [(item.gateway, item.batch_id) for item in arrived]
        ),
        deadly=unread,
    )
    for item in arrived:
        _take(connection, group, item, outcome)
    _screen(connection, group, outcome)
    repository.save_lanes(connection, group.states)
    for key, reason in group.fences.items():
        repository.note_fence(connection, key, reason)
    repository.store_envelopes(connection, group.placed, now_us)
    repository.store_batches(connection, group.new, now_us)
    repository.store_replacements(connection, group.replacements)
    _settle(connection, group, now_us)
    settled = Counter(item.gateway for item in group.placed)
    seen = {item.gateway: settled[item.gateway] for item in arrived}
    repository.note_seen(connection, seen, now_us)
    generations = _greet(connection, group.states, hellos, now_us)
    nonces = {
        (gateway, report.lane, report.epoch): hello.nonce
        for gateway, hello in hellos
        for report in hello.lanes
    }
    for key in sorted(keys):
        gateway = key[0]
        number = generations.get(gateway) or repository.generation(connection, gateway)
        answer = _answer(group, key, number, now_us=now_us, nonce=nonces.get(key, ""))
        outcome.answers.append((gateway, answer))


def _take(connection: Connection, group: _Group, item: Envelope, outcome: Outcome) -> None:
    key = _key(item)
    digest = hashlib.sha256(item.payload).digest()
    payload_hash = group.payloads.get(item.batch_id)
    if payload_hash is None and (item.gateway, item.batch_id) in group.replaced:
        # known by its id alone: what was kept of it came with the batch in its place
        payload_hash = digest
    held = Known(payload_hash, group.places.get((key, item.seq)))
    verdict = receiver.judge(group.states[key], item, digest, held)
    group.states[key] = verdict.state
    outcome.counts[verdict.fate.value] += 1
    if verdict.fate in (Fate.OUTSIDE_WINDOW, Fate.FENCED):
        return
    if verdict.fate is Fate.FENCE:
        # both versions are kept: the one stored before, and this one as it came
        group.fences[key] = verdict.reason
        group.refused.append(_refused(item, verdict.reason, envelope.pack(item)))
        return
    if held.envelope_hash is None:
        group.places[key, item.seq] = item.hash
        group.placed.append(item)
    if verdict.fate is Fate.KNOWN:
        return
    group.payloads[item.batch_id] = digest
    try:
        if item.hash in group.deadly:
            raise _DeadlyError(DEADLY)
        reach(f"ingest.decode.{item.batch_id.hex()}")
        payload = batch.decode(item.payload)
        # nonsense in any part makes all of it poison
        rows = {id(columns): good_rows(columns) for columns in batch.all_series(payload)}
    except WireError as error:
        group.refused.append(_refused(item, str(error), item.payload))
        outcome.answers.append(
            (item.gateway, messages.Nack(item.lane, item.epoch, item.seq, "poison"))
        )
        if isinstance(error, _DeadlyError):
            # nobody else shall read it either: its bytes are in quarantine alone
            item = msgspec.structs.replace(item, payload=b"")
        group.new.append((item, digest, 0))
        return
    read = _open(connection, group, item, payload, rows)
    group.new.append((item, digest, read.count + len(payload.events)))
    group.readings.append(read)


def _open(
    connection: Connection,
    group: _Group,
    item: Sealed,
    payload: batch.Payload,
    rows: Mapping[int, list[Reading]],
) -> _Arrived:
    groups = [(item.batch_id, payload.series), *_replace(connection, group, item, payload)]
    parts = [
        Part(
            item.gateway,
            item.batch_id,
            origin,
            [row for columns in series for row in rows[id(columns)]],
        )
        for origin, series in groups
    ]
    count = sum(len(columns.read_at_deltas) for _, series in groups for columns in series)
    return _Arrived(item, count, parts, payload.events)


def _replace(
    connection: Connection, group: _Group, item: Sealed, payload: batch.Payload
) -> list[tuple[bytes, list[batch.Columns]]]:
    # only what stands for a batch that never came is stored; each is known from now on
    if not payload.replaces:
        return []
    gateway, ids = item.gateway, [part.batch_id for part in payload.replaces]
    held = repository.held_among(connection, ids) | group.payloads.keys()
    group.replaced |= repository.replaced_among(connection, [(gateway, name) for name in ids])
    groups: list[tuple[bytes, list[batch.Columns]]] = []
    for part in payload.replaces:
        if part.batch_id in group.mine:
            groups.append((part.batch_id, part.series))
            continue
        if (gateway, part.batch_id) in group.replaced:
            continue
        stored = part.batch_id not in held
        if stored:
            groups.append((part.batch_id, part.series))
        group.replaced.add((gateway, part.batch_id))
        group.replacements.append(Replacement(gateway, part.batch_id, item.batch_id, stored))
    return groups


def _screen(connection: Connection, group: _Group, outcome: Outcome) -> None:
    # what no column holds, or is of another gateway's device, stays in quarantine
    owners = repository.owners(
        connection, {row.device for item in group.readings for row in item.good}
    )
    for arrived in group.readings:
        item = arrived.envelope
        foreign = {
            device
            for device in {row.device for row in arrived.good}
            if owners.get(device, item.gateway) != item.gateway
        }
        if foreign:
            arrived.parts = [
                replace(part, rows=[row for row in part.rows if row.device not in foreign])
                for part in arrived.parts
            ]
        if (lost := arrived.count - len(arrived.good)) > 0:
            reason = lost_reason(lost)
            group.refused.append(_refused(item, reason, item.payload))
        outcome.readings += len(arrived.good)


def _settle(connection: Connection, group: _Group, now_us: int) -> int:
    # how many of the group's own readings have a time and are stored
    parts = [part for arrived in group.readings for part in arrived.parts]
    told = [
        (item.envelope.gateway, item.envelope.batch_id, item.events)
        for item in group.readings
        if item.events
    ]
    settled, refused = clocks.settle(connection, parts, told, owners=repository.owners)
    repository.store_refused(connection, [*group.refused, *refused], now_us)
    telemetry.store(connection, settled)
    return sum(len(rows) for _, _, rows in settled[: len(parts)])


def _greet(
    connection: Connection,
    states: dict[LaneKey, LaneState],
    hellos: Sequence[tuple[str, messages.Hello]],
    now_us: int,
) -> dict[str, int]:
    generations: dict[str, int] = {}
    for gateway, hello in hellos:
        own = generations.get(gateway) or repository.generation(connection, gateway)
        needed = own
        for report in hello.lanes:
            through = states[gateway, report.lane, report.epoch].through
            needed = max(needed, receiver.needed_generation(own, through, report))
        generations[gateway] = needed
        if needed != own:
            repository.set_generation(connection, gateway, needed)
        repository.note_hello(connection, gateway, hello, now_us)
    return generations


def _answer(
    group: _Group, key: LaneKey, generation: int, *, now_us: int, nonce: str
) -> messages.Answer:
    _, lane, epoch = key
    state = group.states[key]
    if state.fenced:
        return messages.Fence(lane, epoch, group.fences.get(key, "the epoch is fenced"))
    return messages.Ack(
        lane,
        epoch,
        state.through,
        receiver.have(state),
        state.hash_through.hex(),
        generation,
        receiver.CREDIT,
        now_us,
        receiver.WINDOW,
        nonce,
    )


def _refused(item: Sealed, reason: str, body: bytes) -> Refused:
    return Refused(item.gateway, item.lane, item.batch_id, reason, body)


def _key(item: Envelope) -> LaneKey:
    return (item.gateway, item.lane, item.epoch)
