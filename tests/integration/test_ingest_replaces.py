"""Batches that replace others: in any order only what the cloud has not is stored."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from cloud.alerts.service import consume_outbox
from cloud.ingest import repository
from cloud.ingest.service import Incoming
from cloud.ingest.tables import batches, quarantine, replaced_batches
from cloud.sites.tables import channels
from cloud.telemetry import repository as telemetry
from edge.journal import Journal, Limits
from protocols.delivery import batch, envelope, topics
from protocols.delivery.envelope import GENESIS, LANE_READINGS
from protocols.delivery.records import Reading
from tests.fixtures.delivery import (
    START_US,
    add_site,
    deliver,
    packed,
    reading,
    stored_counts,
)

A, B, C = (envelope.batch_id(b"boot-of-one-", number) for number in (1, 2, 3))
BOTH = envelope.batch_id(b"boot-of-one-", 9)
SEED = bytes(32)


def sent(
    name: bytes,
    payload: bytes,
    *,
    epoch: int,
    seq: int = 1,
    prev_hash: bytes = GENESIS,
    gateway: str = "gw-1",
) -> Incoming:
    """Return a batch as it would come in an epoch of its own."""
    made = envelope.seal(
        payload,
        gateway=gateway,
        lane=LANE_READINGS,
        epoch=epoch,
        seq=seq,
        batch_id=name,
        prev_hash=prev_hash,
        root=bytes(32),
    )
    return Incoming(topics.up(gateway, "1"), envelope.pack(made))


def original(name: bytes, numbers: Sequence[int], epoch: int, gateway: str = "gw-1") -> Incoming:
    rows = [reading(number) for number in numbers]
    return sent(name, batch.encode(rows, SEED), epoch=epoch, gateway=gateway)


def replacing(
    name: bytes, kept: dict[bytes, list[Reading]], epoch: int, gateway: str = "gw-1"
) -> Incoming:
    return sent(name, batch.encode([], SEED, replaces=kept), epoch=epoch, gateway=gateway)


def counts(engine: Engine) -> list[int | None]:
    with engine.begin() as connection:
        return stored_counts(connection)


def stored_records(engine: Engine) -> int:
    with engine.begin() as connection:
        return connection.scalar(select(func.sum(batches.c.records))) or 0


MESSAGES = {
    "a": lambda: original(A, [0, 1, 2], 11),
    "b": lambda: original(B, [3, 4, 5], 12),
    "thinned": lambda: replacing(BOTH, {A: [reading(0)], B: [reading(5)], C: []}, 13),
    "again": lambda: replacing(
        envelope.batch_id(b"boot-of-one-", 10), {BOTH: [], A: [reading(0)], B: [], C: []}, 14
    ),
}


@pytest.mark.parametrize("order", list(itertools.permutations(MESSAGES)), ids="-".join)
def test_each_original_is_stored_once_in_any_order(
    order: tuple[str, ...], sqlite_engine: Engine
) -> None:
    add_site(sqlite_engine, "gw-1")
    place = {name: order.index(name) for name in order}
    for name in order:
        outcome = deliver(sqlite_engine, [MESSAGES[name]()])
        assert outcome.counts["fence"] == 0
    # who came first decides what is there of an original: all of it, or what was kept
    first_a = min(("a", "thinned", "again"), key=place.__getitem__)
    first_b = min(("b", "thinned", "again"), key=place.__getitem__)
    if place["again"] < place["thinned"]:
        first_a = min(("a", "again"), key=place.__getitem__)
        first_b = min(("b", "again"), key=place.__getitem__)
    expected = [1000, 1001, 1002] if first_a == "a" else [1000]
    expected += {"b": [1003, 1004, 1005], "thinned": [1005], "again": []}[first_b]
    assert counts(sqlite_engine) == expected
    assert stored_records(sqlite_engine) == len(expected)


def test_one_group_and_its_repetition(engine: Engine) -> None:
    add_site(engine, "gw-1")
    group = [MESSAGES["a"](), MESSAGES["thinned"](), MESSAGES["b"]()]
    assert deliver(engine, group).counts["store"] == 2
    assert counts(engine) == [1000, 1001, 1002, 1005]
    outcome = deliver(engine, [*group, original(C, [7], 15)])
    assert (outcome.counts["known"], outcome.counts["store"]) == (4, 0)
    assert counts(engine) == [1000, 1001, 1002, 1005]
    with engine.begin() as connection:
        found = connection.execute(select(replaced_batches).order_by("replaced_id")).all()
    assert [(row.replaced_id, row.stored) for row in found] == [(A, False), (B, True), (C, True)]


def test_another_gateway_replaces_nothing_here(engine: Engine) -> None:
    add_site(engine, "gw-1", "gw-2")
    stranger = replacing(envelope.batch_id(b"another-one-", 1), {A: []}, 21, "gw-2")
    assert deliver(engine, [stranger]).counts["store"] == 1
    assert deliver(engine, [MESSAGES["a"]()]).counts["store"] == 1
    assert counts(engine) == [1000, 1001, 1002]


def test_what_a_group_kept_can_be_read_back_raw(sqlite_engine: Engine) -> None:
    add_site(sqlite_engine, "gw-1")
    deliver(sqlite_engine, [MESSAGES["thinned"]()])
    with sqlite_engine.begin() as connection:
        channel = connection.scalar(select(channels.c.id))
        assert channel is not None
        (first, last) = telemetry.rows_between(connection, channel, 0, 1 << 61)
        assert telemetry.raw_reading(connection, channel, first) == reading(0)
        assert telemetry.raw_reading(connection, channel, last) == reading(5)


def test_alerts_see_what_was_stored_and_nothing_twice(sqlite_engine: Engine) -> None:
    add_site(sqlite_engine, "gw-1")
    deliver(sqlite_engine, [MESSAGES["a"](), MESSAGES["thinned"]()])
    with sqlite_engine.begin() as connection:
        first, second = repository.take_outbox(connection, 10)
        seen = [
            [
                row.count
                for columns in repository.stored_series(
                    connection, item.batch_id, batch.decode(item.payload)
                )
                for row in batch.readings(columns)
            ]
            for item in (first, second)
        ]
        assert seen == [[1000, 1001, 1002], [1005]]
        assert consume_outbox(connection) == 2


def test_nonsense_in_a_group_makes_the_batch_poison(sqlite_engine: Engine) -> None:
    add_site(sqlite_engine, "gw-1")
    good = batch.decode(batch.encode([], SEED, replaces={A: [reading(0)]}))
    columns = batch.msgspec.structs.replace(good.replaces[0].series[0], qualities=[])
    broken = batch.Payload(2, SEED, [], [], [batch.Replaced(A, [columns])])
    payload = batch.zstandard.compress(batch.msgspec.msgpack.encode(broken))
    deliver(sqlite_engine, [sent(BOTH, payload, epoch=31)])
    assert counts(sqlite_engine) == []
    with sqlite_engine.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(quarantine)) == 1
    # it replaced nothing: the original still counts
    deliver(sqlite_engine, [MESSAGES["a"]()])
    assert counts(sqlite_engine) == [1000, 1001, 1002]


def test_what_a_full_journal_kept_arrives_beside_what_was_delivered_before(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    add_site(sqlite_engine, "gw-1")
    draw = random.Random(1)
    minutes, early = 700, 90
    with closing(Journal(tmp_path / "gw-1.journal", "gw-1", limits=Limits(4 << 20))) as journal:
        for number in range(minutes):
            rows = [reading(number, f"e-{n}", words=draw.randbytes(180)) for n in range(40)]
            journal.append(LANE_READINGS, rows, seal_at_us=START_US)
            if number == early:
                # stored, but the acknowledgements were lost
                sent = [packed(journal, seq) for seq in range(1, early + 1)]
                deliver(sqlite_engine, sent)
        status = journal.status(LANE_READINGS)
        late = [packed(journal, seq) for seq in range(status.first, status.next)]
    assert len(late) < minutes - 200, "nothing was thinned"
    outcome = Counter[str]()
    for start in range(0, len(late), 64):
        outcome += deliver(sqlite_engine, late[start : start + 64]).counts
    assert (outcome["fence"], outcome["outside_window"]) == (0, 0)
    with sqlite_engine.begin() as connection:
        for device in ("e-0", "e-39"):
            found = stored_counts(connection, device)
            # all of the early ones, both sides of every hour, and the newest
            assert found[:early] == [1000 + number for number in range(early)]
            hours = {1000 + n for hour in range(60, minutes, 60) for n in (hour - 1, hour)}
            assert hours <= set(found)
            assert found == sorted(set(found))
            assert (found[0], found[-1]) == (1000, 1000 + minutes - 1)
            assert len(found) < minutes
    # an original that comes after all is known and stores nothing
    before = counts(sqlite_engine)
    assert deliver(sqlite_engine, sent).counts["known"] == len(sent)
    assert counts(sqlite_engine) == before
