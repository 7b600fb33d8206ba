"""A group of messages becomes one transaction; what it acknowledges is then durable."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from cloud.ingest import clocks, repository
from cloud.ingest.limits import good_rows
from cloud.ingest.repository import LaneKey, Refused, Replacement
from cloud.telemetry import repository as telemetry
from protocols.delivery import batch, envelope, messages, receiver, topics
from protocols.delivery.envelope import Envelope
from protocols.delivery.receiver import Fate, Known, LaneState
from protocols.delivery.records import Event, Reading
from protocols.errors import WireError


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


@dataclass
class _Arrived:
    envelope: Envelope
    count: int
    good: list[Reading]
    events: Sequence[Event] = ()


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


def process(connection: Connection, group: Sequence[Incoming], now_us: int) -> Outcome:
    """Store a group of messages within the caller's transaction; answer after its commit."""
    outcome = Outcome()
    hellos: list[tuple[str, messages.Hello]] = []
    arrived: list[Envelope] = []
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
    known = repository.enrolled(
        connection, [item.gateway for item in arrived] + [gateway for gateway, _ in hellos]
    )
    strangers = [item for item in arrived if item.gateway not in known]
    outcome.counts["dropped_unknown_gateway"] += len(strangers)
    arrived = [item for item in arrived if item.gateway in known]
    hellos = [(gateway, hello) for gateway, hello in hellos if gateway in known]
    _store(connection, arrived, hellos, outcome, now_us)
    return outcome


def _store(
    connection: Connection,
    arrived: Sequence[Envelope],
    hellos: Sequence[tuple[str, messages.Hello]],
    outcome: Outcome,
    now_us: int,
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
    repository.store_refused(connection, group.refused, now_us)
    telemetry.store(
        connection,
        clocks.settle(
            connection,
            [(item.envelope.gateway, item.envelope.batch_id, item.good) for item in group.readings],
            [
                (item.envelope.gateway, item.envelope.batch_id, item.events)
                for item in group.readings
                if item.events
            ],
        ),
    )
    settled = Counter(item.gateway for item in group.placed)
    seen = {item.gateway: settled[item.gateway] for item in arrived}
    repository.note_seen(connection, seen, now_us)
    generations = _greet(connection, group.states, hellos, now_us)
    for key in sorted(keys):
        gateway = key[0]
        number = generations.get(gateway) or repository.generation(connection, gateway)
        outcome.answers.append((gateway, _answer(group, key, number, now_us)))


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
        payload = batch.decode(item.payload)
        # nonsense in any part makes all of it poison
        rows = {id(columns): good_rows(columns) for columns in batch.all_series(payload)}
    except WireError as error:
        group.refused.append(_refused(item, str(error), item.payload))
        outcome.answers.append(
            (item.gateway, messages.Nack(item.lane, item.epoch, item.seq, "poison"))
        )
        group.new.append((item, digest, 0))
        return
    series = [*payload.series, *_replace(connection, group, item, payload)]
    good = [row for columns in series for row in rows[id(columns)]]
    count = sum(len(columns.read_at_deltas) for columns in series)
    group.new.append((item, digest, count + len(payload.events)))
    group.readings.append(_Arrived(item, count, good, payload.events))


def _replace(
    connection: Connection, group: _Group, item: Envelope, payload: batch.Payload
) -> list[batch.Columns]:
    # only what stands for a batch that never came is stored; each is known from now on
    if not payload.replaces:
        return []
    gateway, ids = item.gateway, [part.batch_id for part in payload.replaces]
    held = repository.held_among(connection, ids) | group.payloads.keys()
    group.replaced |= repository.replaced_among(connection, [(gateway, name) for name in ids])
    series: list[batch.Columns] = []
    for part in payload.replaces:
        if (gateway, part.batch_id) in group.replaced:
            continue
        stored = part.batch_id not in held
        if stored:
            series += part.series
        group.replaced.add((gateway, part.batch_id))
        group.replacements.append(Replacement(gateway, part.batch_id, item.batch_id, stored))
    return series


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
            arrived.good = [row for row in arrived.good if row.device not in foreign]
        if (lost := arrived.count - len(arrived.good)) > 0:
            reason = f"{lost} readings out of range or of another gateway's device"
            group.refused.append(_refused(item, reason, item.payload))
        outcome.readings += len(arrived.good)


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


def _answer(group: _Group, key: LaneKey, generation: int, now_us: int) -> messages.Answer:
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
    )


def _refused(item: Envelope, reason: str, body: bytes) -> Refused:
    return Refused(item.gateway, item.lane, item.batch_id, reason, body)


def _key(item: Envelope) -> LaneKey:
    return (item.gateway, item.lane, item.epoch)
