"""Quarantine: what could not be stored is seen, replayed once, or discarded; nothing is lost."""

import secrets

import pytest
from sqlalchemy import Engine

from cloud.errors import NotFoundError, RefusedError
from cloud.ingest import quarantine
from cloud.sites.tables import devices
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_READINGS
from tests.fixtures.delivery import (
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
        assert quarantine.replay(connection, item.id, by="li", now_us=NOW_US) == 2
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
