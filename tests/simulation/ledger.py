"""What the oracle asks of the store: forks, answers, chains, and the account at the end."""

import hashlib
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from protocols.delivery.messages import Ack
from tests.simulation.memory_store import RowKey, Tables
from tests.simulation.wire_format import GENESIS, Place, Row, chain_hash

if TYPE_CHECKING:
    from tests.simulation.gateway import GatewayNode
    from tests.simulation.oracle import Oracle, Seen

Key = tuple[str, int, int]
UNCERTAIN = 5
_YEAR_2000_US = 946_684_800_000_000


class Violation(BaseException):
    """An invariant of the delivery does not hold; `kind` is lost, duplicated, mutated or stuck.

    No code that catches exceptions may swallow it.
    """

    def __init__(self, invariant: str, text: str, *, kind: str = "") -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.kind = kind


class Window:
    """What one lane of one session has on its way, judged by what it was told."""

    def __init__(self) -> None:
        self.credit = 1
        self.through: dict[int, int] = {}
        self.out: set[tuple[int, int]] = set()

    def send(self, node: str, epoch: int, seq: int) -> None:
        """Take note of a batch on its way."""
        self.out = {place for place in self.out if place[0] == epoch}
        # at or below the watermark it is evidence of a fork, which costs no credit
        if seq > self.through.get(epoch, 0):
            self.out.add((epoch, seq))
        # what was decided before an answer and what after it may be on their way together, and a
        # late answer with a lower watermark makes the sender begin there again
        if len(self.out) > 4 * self.credit + 1:
            raise Violation("rule 2", f"{node} has {len(self.out)} on its way, may {self.credit}")

    def take(self, answer: dict[str, Any]) -> None:
        """Take note of what the cloud said."""
        epoch = answer["epoch"]
        if answer["type"] == "nack":
            self.out.discard((epoch, answer["seq"]))
        if answer["type"] != "ack":
            return
        if answer["through"] < self.through.get(epoch, 0):
            self.out.clear()
        self.through[epoch] = answer["through"]
        self.credit = max(self.credit, answer["credit"])
        have = {n for low, high in answer["have"] for n in range(low, high + 1)}
        self.out = {
            (own, seq)
            for own, seq in self.out
            if own != epoch or (seq > answer["through"] and seq not in have)
        }


def check_fork(tables: Tables, key: Key, place: Place) -> None:
    """A place or an id that came with other contents: its epoch is fenced for ever."""
    if not tables.lanes[key].fenced:
        raise Violation("I7", f"{key} batch {place.seq} is a fork and is not fenced")


def check_fence(tables: Tables, key: Key, came: list[Place], *, forked: bool) -> None:
    """A new fence has a cause among what came, and what caused it is kept."""
    names = {place.batch_id for place in came}
    if not any(item.batch_id in names for item in tables.quarantine):
        raise Violation("I7", f"{key} is fenced and the second version is gone")
    hashes: dict[int, set[bytes]] = {0: {GENESIS}}
    links: set[tuple[int, bytes]] = set()
    for seq, held in tables.places.get(key, {}).items():
        hashes.setdefault(seq, set()).add(held.hash)
        links.add((seq, held.prev_hash))
    for place in came:
        hashes.setdefault(place.seq, set()).add(place.hash)
        links.add((place.seq, place.prev_hash))
    broken = any(seq - 1 in hashes and before not in hashes[seq - 1] for seq, before in links)
    twice = any(len(found) > 1 for found in hashes.values())
    if not (forked or broken or twice):
        raise Violation("rule 3", f"{key} is fenced and nothing forked")


def check_ack(tables: Tables, key: Key, answer: Ack, *, window: int) -> None:
    """What an ACK says must be durable."""
    lane = tables.lanes.get(key)
    places = tables.places.get(key, {})
    through = 0 if lane is None else lane.through
    if answer.through > through:
        raise Violation("I4", f"{key} is acknowledged up to {answer.through}, held to {through}")
    for low, high in answer.have:
        for seq in range(low, high + 1):
            if seq not in places or not is_known(tables, key[0], places[seq].batch_id):
                raise Violation("I4", f"{key} batch {seq} is acknowledged and not held")
    if answer.through and places[answer.through].hash.hex() != answer.hash_through:
        raise Violation("I4", f"{key}: another hash than that of {answer.through}")
    if answer.generation > tables.generations.get(key[0], 1):
        raise Violation("I4", f"{key}: generation {answer.generation} is not durable")
    if not 1 <= answer.credit <= window:
        raise Violation("rule 2", f"credit {answer.credit} is past the window of {window}")


def is_known(tables: Tables, gateway: str, name: bytes) -> bool:
    """Whether a batch is held, or another stands in its place."""
    return name in tables.batches or (gateway, name) in tables.replaced


def check_nack(tables: Tables, key: Key, seq: int) -> None:
    """What is refused as poison is kept in quarantine."""
    place = tables.places.get(key, {}).get(seq)
    name = None if place is None else place.batch_id
    if not any(item.batch_id == name for item in tables.quarantine):
        raise Violation("I4", f"{key} batch {seq} is refused and not in quarantine")


def check_link(tables: Tables, key: Key, seq: int, before: bytes) -> bytes:
    """Return the hash of a stored place; its chain and its batch must hold."""
    held = tables.places.get(key, {}).get(seq)
    batch = None if held is None else tables.batches.get(held.batch_id)
    gateway, lane, epoch = key
    if held is not None and batch is None and is_known(tables, gateway, held.batch_id):
        # another stands in its place: only what the envelope says is left of it
        if held.prev_hash != before:
            raise Violation("I5", f"{key}: the chain is broken at {seq}")
        return held.hash
    if held is None or batch is None:
        raise Violation("I5", f"{key} batch {seq} is below the watermark and not held")
    place = Place(
        1, gateway, lane, epoch, seq, held.batch_id, before, held.root, b"", batch.payload
    )
    digest = chain_hash(place)
    if digest != held.hash:
        raise Violation("I5", f"{key}: the chain is broken at {seq}")
    return digest


def judge(oracle: "Oracle", tables: Tables, nodes: "list[GatewayNode]") -> None:
    """Lost, duplicated, mutated: the account of every record that was committed."""
    stored: Counter[int] = Counter()
    for name, batch in tables.batches.items():
        seen = oracle.batches.get(name)
        if seen is None or hashlib.sha256(batch.payload).digest() != seen.digest:
            raise Violation("I3", f"batch {name.hex()} is not what was sent", kind="mutated")
        if batch.gateway != seen.gateway:
            raise Violation("I10", f"batch {name.hex()} of {seen.gateway} is {batch.gateway}'s")
        stored.update(seen.numbers)
    refused = {item.batch_id for item in tables.quarantine}
    for name in refused & tables.batches.keys():
        # who knows no batch that replaces others keeps it whole in quarantine
        stored.update(oracle.batches[name].kept)
    committed = {number for node in nodes for number in node.disk.committed}
    if oracle.account.wanted:
        lost = oracle.account.judge(tables, stored, committed)
    else:
        lost = committed - stored.keys()
    if lost:
        raise Violation(
            "I1", f"{len(lost)} committed records are gone: {sorted(lost)[:5]}", kind="lost"
        )
    # the open tail of a disk that was copied is sealed by each copy under its own id; the history
    # knows such a reading by its instant and count
    twice = [n for n, times in stored.items() if times > 1 and n not in oracle.copied]
    if twice and not oracle.world.plan.old_cloud:
        raise Violation("I2", f"records {twice[:5]} are in several batches", kind="duplicated")
    if sorted(tables.outbox) != sorted(tables.batches):
        raise Violation("rule 6", "the outbox does not name each batch once")
    judge_rows(oracle, tables)
    judge_bills(oracle, tables)
    if oracle.world.plan.limit_bytes is not None and not oracle.world.plan.old_cloud:
        oracle.account.judge_hours(tables, committed)


def judge_rows(oracle: "Oracle", tables: Tables) -> None:
    """Each reading of a stored batch is in the history or its batch in quarantine."""
    rows_of: dict[RowKey, set[bytes]] = {}
    refused: set[bytes] = set()
    for name, batch in tables.batches.items():
        seen = oracle.batches[name]
        if seen.rows is None:
            refused.add(name)
        own = [(name, row) for row in seen.rows or () if row.words]
        for origin, row in (*own, *_stored_of(tables, name, seen)):
            if _is_nonsense(tables, batch.gateway, row):
                refused.add(name)
                continue
            for key in _places_of(oracle, tables, name, origin, row):
                rows_of.setdefault(key, set()).add(name)
    if refused - {item.batch_id for item in tables.quarantine}:
        raise Violation("I1", "refused records are not in quarantine", kind="lost")
    if missing := rows_of.keys() - tables.readings.keys():
        raise Violation(
            "I1", f"{len(missing)} rows are missing: {next(iter(missing))}", kind="lost"
        )
    if extra := [key for key, name in tables.readings.items() if name not in rows_of.get(key, ())]:
        raise Violation("I2", f"{len(extra)} rows too many: {extra[0]}", kind="duplicated")
    if not oracle.copied and tables.doubled:
        raise Violation("I2", f"stored twice: {tables.doubled[0]}", kind="duplicated")


def _is_nonsense(tables: Tables, gateway: str, row: Row) -> bool:
    before = row.at_us < _YEAR_2000_US and row.quality != UNCERTAIN
    return before or tables.owners.get(row.device, gateway) != gateway


def _places_of(
    oracle: "Oracle", tables: Tables, name: bytes, origin: bytes, row: Row
) -> set[RowKey]:
    if row.quality == UNCERTAIN:
        return oracle.dating.expected(tables, name, origin, row)
    gateway = tables.batches[name].gateway
    if oracle.world.plan.undated and row.quality == 0:
        oracle.dating.check_certain(gateway, row)
    return {row_key_of(gateway, row)}


def _stored_of(tables: Tables, name: bytes, seen: "Seen") -> list[tuple[bytes, Row]]:
    # of a batch that replaces others, what stands for those that never came
    gateway = tables.batches[name].gateway
    found: list[tuple[bytes, Row]] = []
    for origin, rows in seen.groups.items():
        replaced = tables.replaced.get((gateway, origin))
        if replaced is None:
            if not any(item.batch_id == name for item in tables.quarantine):
                raise Violation("rule 1", f"{origin.hex()} is replaced and not known", kind="lost")
        elif replaced.batch_id == name and origin not in tables.batches:
            found += [(origin, row) for row in rows]
    return found


def row_key_of(gateway: str, row: Row) -> RowKey:
    """Return what the history knows a reading by."""
    return RowKey(gateway, row.device, row.point, row.at_us, row.number, row.quality)


def judge_bills(oracle: "Oracle", tables: Tables) -> None:
    """I9: what each register has moved is the sum of what each stored read adds."""
    billed: Counter[str] = Counter()
    reads: dict[str, list[int]] = {}
    for row in tables.readings:
        gateway = row.gateway
        if tables.owners.get(row.device, gateway) != gateway:
            raise Violation("I10", f"{gateway} adds to {row.device}")
        if row.count is None:
            continue
        reads.setdefault(row.device, []).append(row.count)
    # an open tail that was copied is dated by each copy's own clock, where there was none before
    copies = {
        (row.device, row.number)
        for _, row in map(oracle.records.__getitem__, oracle.copied)
        if oracle.world.plan.undated
    }
    for device, counts in reads.items():
        ordered = sorted(counts)
        for before, after in pairwise(ordered):
            billed[device] += oracle.world.moved(device, before, after)
        again = [count for count, times in Counter(counts).items() if times > 1]
        if any((device, count) not in copies for count in again):
            raise Violation("I9", f"{device} is billed twice for a read", kind="duplicated")
        if billed[device] != ordered[-1] - ordered[0]:
            raise Violation("I9", f"{device}: {billed[device]} billed, {ordered[-1] - ordered[0]}")
