"""Quarantine: what could not be stored is seen, replayed once, or discarded; nothing is lost."""

import secrets

import pytest
from sqlalchemy import Engine, select

from cloud.alerts.service import consume_outbox
from cloud.alerts.tables import alerts
from cloud.errors import NotFoundError, RefusedError
from cloud.ingest import quarantine
from cloud.ingest.clock_repository import waiting_readings
from cloud.ingest.service import process
from cloud.ingest.tables import batches, replaced_batches
from cloud.sites.tables import devices
from protocols.delivery import batch, envelope, topics
from protocols.delivery.envelope import GENESIS, LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event, Quality
from tests.fixtures.delivery import (
    MINUTE_US,
    NOW_US,
    START_US,
    Incoming,
    OpenJournal,
    add_site,
    deliver,
    packed,
    reading,
    stored_counts,
)
from tests.integration.test_alerts import add_device


def poison(journal_envelope: bytes, payload: bytes) -> Incoming:
    """The first batch of a gateway with another payload, well enveloped."""
    held = envelope.unpack(journal_envelope)
    sealed = envelope.seal(
        payload,
        gateway=held.gateway,
        lane=held.lane,
        epoch=held.epoch,
        seq=held.seq,
        batch_id=held.batch_id,
        prev_hash=held.prev_hash,
        root=held.root,
    )
    return Incoming(f"v1/up/{held.gateway}/{held.lane}", envelope.pack(sealed))


A, B, BOTH = (envelope.batch_id(b"boot-of-one-", number) for number in (1, 2, 9))


def sent(name: bytes, payload: bytes, *, lane: int = LANE_READINGS, epoch: int = 0) -> Incoming:
    """A batch of gw-1 in an epoch of its own, or in one that is said."""
    made = envelope.seal(
        payload,
        gateway="gw-1",
        lane=lane,
        epoch=epoch or int.from_bytes(name[8:], "big"),
        seq=1,
        batch_id=name,
        prev_hash=GENESIS,
        root=bytes(32),
    )
    return Incoming(topics.up("gw-1", str(lane)), envelope.pack(made))


def replay(engine: Engine, number: int, *, may_die: bool = False) -> tuple[int, int]:
    """Replay and commit; return how many are stored and how many wait."""
    with engine.begin() as connection:
        again = quarantine.replay(connection, number, by="li", now_us=NOW_US, may_die=may_die)
    return again.stored, again.waiting


def give_to(engine: Engine, gateway: str) -> None:
    """Move every device on file."""
    with engine.begin() as connection:
        connection.execute(devices.update().values(gateway_id=gateway))


def fix(minute: int) -> Event:
    """What a gateway notes when the cloud has told it the time."""
    body: dict[str, str | int | None] = {"source": "cloud", "error_us": 2_000_000}
    body["wall_us"] = START_US + minute * MINUTE_US
    return Event("", "clock", START_US, minute * MINUTE_US, body)


def waiting(engine: Engine, project_id: str | None = None) -> list[quarantine.Item]:
    with engine.begin() as connection:
        return quarantine.items(connection, project_id=project_id, open_only=True)[0]


def test_poison_is_kept_and_can_only_be_discarded(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    journal.append(LANE_READINGS, [reading(1)], seal_at_us=START_US)
    deliver(engine, [poison(packed(journal, 1).payload, b"no batch at all")])
    (item,) = waiting(engine)
    assert (item.gateway_id, item.lane, item.size) == ("gw-1", 1, 15)
    with engine.begin() as connection:
        inside = quarantine.contents(connection, item.id)
        assert inside.body == b"no batch at all"
        assert "cannot be decoded" in inside.problem
    with engine.begin() as connection, pytest.raises(RefusedError, match="still no batch"):
        quarantine.replay(connection, item.id, by="li", now_us=NOW_US)
    with engine.begin() as connection:
        quarantine.discard(connection, item.id, by="li", note="a test", now_us=NOW_US)
    assert waiting(engine) == []
    with engine.begin() as connection:
        (decided,), total = quarantine.items(connection)
        assert (decided.decision, decided.decided_by, decided.note) == ("discarded", "li", "a test")
        assert total == 1
        assert quarantine.contents(connection, item.id).body == b"no batch at all"
    with engine.begin() as connection, pytest.raises(RefusedError, match="was discarded by li"):
        quarantine.discard(connection, item.id, by="wu", note="again", now_us=NOW_US)


def test_readings_of_a_device_that_moved_are_replayed_once(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1", "gw-2")
    add_device(engine, "e-1", gateway="gw-2")
    journal = open_journal()
    rows = [reading(1, "e-1"), reading(2, "e-2"), reading(3, "e-1")]
    journal.append(LANE_READINGS, rows, seal_at_us=START_US)
    deliver(engine, [packed(journal, 1)])
    with engine.begin() as connection:
        assert stored_counts(connection, "e-1") == []
        assert stored_counts(connection, "e-2") == [1002]
    (item,) = waiting(engine)
    with engine.begin() as connection:
        connection.execute(devices.update().values(gateway_id="gw-1"))
    with engine.begin() as connection:
        assert quarantine.replay(connection, item.id, by="li", now_us=NOW_US).stored == 2
    with engine.begin() as connection:
        assert stored_counts(connection, "e-1") == [1001, 1003]
        assert stored_counts(connection, "e-2") == [1002]
    with engine.begin() as connection, pytest.raises(RefusedError, match="was replayed by li"):
        quarantine.replay(connection, item.id, by="wu", now_us=NOW_US)


def test_a_fork_does_not_take_the_place_of_what_is_stored(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    journal.append(LANE_READINGS, [reading(1)], seal_at_us=START_US)
    deliver(engine, [packed(journal, 1)])
    other = batch.encode([reading(7)], secrets.token_bytes(32))
    deliver(engine, [poison(packed(journal, 1).payload, other)])
    (item,) = waiting(engine)
    with engine.begin() as connection:
        (row,) = quarantine.contents(connection, item.id).readings
        assert row.count == 1007
    with engine.begin() as connection, pytest.raises(RefusedError, match="another batch is stored"):
        quarantine.replay(connection, item.id, by="li", now_us=NOW_US)
    with engine.begin() as connection:
        assert stored_counts(connection) == [1001]


def test_nobody_sees_another_projects(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    add_site(engine, "gw-2", project="p-2")
    journal = open_journal()
    journal.append(LANE_READINGS, [reading(1)], seal_at_us=START_US)
    deliver(engine, [poison(packed(journal, 1).payload, b"no batch")])
    assert waiting(engine, "p-2") == []
    (item,) = waiting(engine, "p-1")
    with engine.begin() as connection, pytest.raises(NotFoundError):
        quarantine.item(connection, item.id, "p-2")


def test_undated_readings_of_a_replayed_batch_wait_and_are_dated(engine: Engine) -> None:
    add_site(engine, "gw-1", "gw-2")
    add_device(engine, "e-1", gateway="gw-2")
    wrong = {"quality": int(Quality.TIME_UNCERTAIN), "read_at_us": START_US - 10**15}
    deliver(engine, [sent(A, batch.encode([reading(1, **wrong), reading(2)], bytes(32)))])
    (item,) = waiting(engine)
    give_to(engine, "gw-1")
    assert replay(engine, item.id) == (1, 1)
    with engine.begin() as connection:
        assert stored_counts(connection) == [1002]
        assert waiting_readings(connection) == {"gw-1": 1}
        assert quarantine.item(connection, item.id).note == "1 readings stored, 1 wait for the time"
    deliver(engine, [sent(B, batch.encode([fix(10)], bytes(32)), lane=LANE_EVENTS)])
    with engine.begin() as connection:
        # by its true time it is before the other
        assert stored_counts(connection) == [1001, 1002]
        assert waiting_readings(connection) == {}


def test_a_replayed_batch_is_dated_at_once_where_the_time_is_known(engine: Engine) -> None:
    add_site(engine, "gw-1", "gw-2")
    add_device(engine, "e-1", gateway="gw-2")
    deliver(engine, [sent(B, batch.encode([fix(10)], bytes(32)), lane=LANE_EVENTS)])
    wrong = {"quality": int(Quality.TIME_UNCERTAIN), "read_at_us": START_US - 10**15}
    deliver(engine, [sent(A, batch.encode([reading(3, **wrong), reading(2)], bytes(32)))])
    (item,) = waiting(engine)
    give_to(engine, "gw-1")
    assert replay(engine, item.id) == (2, 0)
    with engine.begin() as connection:
        assert stored_counts(connection) == [1002, 1003]


def test_of_a_replayed_replacing_batch_only_what_is_not_held_is_stored(engine: Engine) -> None:
    add_site(engine, "gw-1", "gw-2")
    add_device(engine, "e-1", gateway="gw-2")
    deliver(engine, [sent(B, batch.encode([reading(3, "e-2"), reading(5, "e-2")], bytes(32)))])
    kept = {A: [reading(0, "e-1"), reading(1, "e-2")], B: [reading(5, "e-2"), reading(6, "e-1")]}
    deliver(engine, [sent(BOTH, batch.encode([], bytes(32), replaces=kept))])
    (item,) = waiting(engine)
    give_to(engine, "gw-1")
    assert replay(engine, item.id) == (1, 0)
    with engine.begin() as connection:
        assert stored_counts(connection, "e-1") == [1000]
        assert stored_counts(connection, "e-2") == [1001, 1003, 1005]


def test_a_replayed_batch_replaces_what_comes_later(engine: Engine) -> None:
    add_site(engine, "gw-1")
    deliver(engine, [sent(B, batch.encode([reading(9, "e-2")], bytes(32)), epoch=7)])
    # a fork: it lies in quarantine with what it replaces, and nothing of it is known
    kept = {A: [reading(0)], B: [reading(9, "e-2")]}
    deliver(engine, [sent(BOTH, batch.encode([], bytes(32), replaces=kept), epoch=7)])
    (item,) = waiting(engine)
    assert replay(engine, item.id) == (1, 0)
    with engine.begin() as connection:
        rows = connection.execute(select(replaced_batches).order_by("replaced_id")).all()
        assert [(row.replaced_id, row.stored) for row in rows] == [(A, True), (B, False)]
    original = sent(A, batch.encode([reading(0), reading(1)], bytes(32)))
    assert deliver(engine, [original]).counts["known"] == 1
    with engine.begin() as connection:
        assert stored_counts(connection) == [1000]


def test_a_batch_that_was_replaced_is_not_stored_beside_what_was_kept(engine: Engine) -> None:
    add_site(engine, "gw-1")
    deliver(engine, [sent(B, batch.encode([reading(9, "e-2")], bytes(32)), epoch=7)])
    deliver(engine, [sent(A, batch.encode([reading(0), reading(1)], bytes(32)), epoch=7)])
    (item,) = waiting(engine)
    deliver(engine, [sent(BOTH, batch.encode([], bytes(32), replaces={A: [reading(0)]}))])
    with pytest.raises(RefusedError, match=f"came in batch {BOTH.hex()}"):
        replay(engine, item.id)
    with engine.begin() as connection:
        assert stored_counts(connection) == [1000]


def test_what_still_is_anothers_stays_undecided(engine: Engine) -> None:
    add_site(engine, "gw-1", "gw-2")
    for name in ("e-1", "e-2"):
        add_device(engine, name, gateway="gw-2")
    rows = [reading(1, "e-1"), reading(2, "e-2")]
    deliver(engine, [sent(A, batch.encode(rows, bytes(32)))])
    (item,) = waiting(engine)
    with pytest.raises(RefusedError, match="nothing that can be stored now"):
        replay(engine, item.id)
    assert [each.id for each in waiting(engine)] == [item.id]
    with engine.begin() as connection:
        mine = devices.update().where(devices.c.id == "e-1")
        connection.execute(mine.values(gateway_id="gw-1"))
    assert replay(engine, item.id) == (1, 0)
    (rest,) = waiting(engine)
    assert (rest.batch_id, rest.reason[:2]) == (A, "1 ")
    give_to(engine, "gw-1")
    assert replay(engine, rest.id) == (1, 0)
    with engine.begin() as connection:
        assert stored_counts(connection, "e-1") + stored_counts(connection, "e-2") == [1001, 1002]


def test_what_ended_the_worker_is_not_read_and_its_events_count_when_it_is(
    engine: Engine,
) -> None:
    add_site(engine, "gw-1")
    wrong = {"quality": int(Quality.TIME_UNCERTAIN), "read_at_us": START_US - 10**15}
    deliver(engine, [sent(B, batch.encode([reading(1, **wrong)], bytes(32)))])
    loss = Event("", "loss", NOW_US, 0, {"count": 7, "reason": "disk"})
    payload = batch.encode([fix(10), loss], bytes(32))
    message = sent(A, payload, lane=LANE_EVENTS)
    with engine.begin() as connection:
        outcome = process(connection, [message], NOW_US, deadly={message})
    assert [type(answer).__name__ for _, answer in outcome.answers] == ["Nack", "Ack"]
    assert deliver(engine, [message]).counts["known"] == 1
    with engine.begin() as connection:
        consume_outbox(connection)
        # nobody who reads batches reads that one
        held = connection.scalar(select(batches.c.payload).where(batches.c.batch_id == A))
        assert held == b""
    (item,) = waiting(engine)
    with engine.begin() as connection:
        inside = quarantine.contents(connection, item.id)
    assert (inside.body, inside.events) == (payload, ())
    with pytest.raises(RefusedError, match="--may-die"):
        replay(engine, item.id)
    assert replay(engine, item.id, may_die=True) == (0, 0)
    with engine.begin() as connection:
        assert stored_counts(connection) == [1001]
        held = connection.scalar(select(batches.c.payload).where(batches.c.batch_id == A))
        assert held == payload
        consume_outbox(connection)
        assert set(connection.scalars(select(alerts.c.kind))) == {"loss"}
