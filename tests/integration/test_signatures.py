"""Signatures are judged, and stored batches sampled, on both databases."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from cloud.alerts import repository as alert_repository
from cloud.alerts.tables import alerts as alert_table
from cloud.config import Settings
from cloud.errors import NotFoundError, RefusedError
from cloud.ingest.tables import batches, envelopes, outbox
from cloud.proofs import service
from cloud.proofs.tables import checked_batches, gateway_keys
from cloud.work import Worker
from edge.journal import Journal
from protocols.delivery import batch, envelope, verify_proof
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event
from protocols.delivery.signature import key_text, public_bytes
from tests.fixtures.delivery import (
    NOW_US,
    START_US,
    OpenJournal,
    add_site,
    deliver,
    packed,
    reading,
)
from tests.fixtures.proven_site import (
    KEY,
    OTHER,
    PUBLIC,
    deliver_all,
    open_alerts,
    prove,
    sealed,
    sign,
    trust,
    verdicts,
    work,
)


def test_a_signature_waits_for_its_envelope(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    trust(engine)
    journal = open_journal()
    sealed(journal, 0, 2)
    sign(journal)
    deliver_all(engine, journal, lanes=(0,))
    work(engine)
    assert sorted(verdicts(engine), key=str) == [None, True]
    deliver_all(engine, journal, lanes=(1,))
    work(engine)
    assert verdicts(engine) == [True, True]


@pytest.mark.usefixtures("delivered")
def test_without_a_trusted_key_nothing_is_proven_and_nobody_is_alarmed(engine: Engine) -> None:
    assert set(verdicts(engine)) == {None}
    assert open_alerts(engine) == []
    with pytest.raises(NotFoundError, match="no verified signature"):
        prove(engine)


@pytest.mark.usefixtures("delivered")
def test_another_key_raises_an_alert_until_it_is_trusted(engine: Engine) -> None:
    trust(engine, key_text(public_bytes(OTHER)))
    work(engine)
    assert set(verdicts(engine)) == {False}
    assert open_alerts(engine) == ["bad_signature"]
    with engine.begin() as connection:
        number = connection.scalar(select(alert_table.c.id))
        assert alert_repository.acknowledge(connection, number or 0, "p-1", "m", NOW_US)
    assert open_alerts(engine) == []
    trust(engine)
    work(engine)
    assert set(verdicts(engine)) == {True}
    assert open_alerts(engine) == []
    assert verify_proof.verify(prove(engine), PUBLIC)


@pytest.mark.usefixtures("delivered")
def test_a_good_signature_over_another_chain_raises_an_alert(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            update(envelopes)
            .where(envelopes.c.lane == LANE_READINGS, envelopes.c.seq == 6)
            .values(hash=bytes(32))
        )
    trust(engine)
    work(engine)
    assert sorted(verdicts(engine), key=str).count(False) == 1
    assert open_alerts(engine) == ["bad_signature"]


def test_a_revoked_key_vouches_for_what_came_before(engine: Engine, delivered: Journal) -> None:
    trust(engine)
    with engine.begin() as connection:
        service.revoke_key(connection, "gw-1", PUBLIC, NOW_US + 1)
        with pytest.raises(NotFoundError, match="no valid key"):
            service.revoke_key(connection, "gw-1", PUBLIC, NOW_US + 2)
        with pytest.raises(RefusedError, match="was revoked"):
            service.trust_key(connection, "gw-1", PUBLIC, from_us=None)
    work(engine)
    assert set(verdicts(engine)) == {True}
    sealed(delivered, 6, 1)
    sign(delivered)
    for lane in (LANE_EVENTS, LANE_READINGS):
        last = delivered.status(lane).next - 1
        deliver(engine, [packed(delivered, last, lane)], NOW_US + 1)
    work(engine)
    assert open_alerts(engine) == ["bad_signature"]


def test_the_first_key_is_pinned_only_where_that_is_allowed(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    sealed(journal, 0, 1)
    sign(journal)
    deliver_all(engine, journal)
    work(engine, trust_first_key=True)
    assert set(verdicts(engine)) == {True}
    # a second key is not believed on its own word
    sealed(journal, 1, 1)
    sign(journal, OTHER)
    deliver_all(engine, journal)
    work(engine, trust_first_key=True)
    with engine.begin() as connection:
        held = connection.scalars(select(gateway_keys.c.key)).all()
    assert held == [public_bytes(KEY)]
    assert open_alerts(engine) == ["bad_signature"]


def test_a_nonsense_signature_raises_an_alert(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    event = Event("", "sig", START_US, 0, {"lane": 1, "seq": 1})
    journal.append(LANE_EVENTS, [event], seal_at_us=START_US)
    deliver_all(engine, journal, lanes=(0,))
    work(engine)
    assert verdicts(engine) == []
    assert open_alerts(engine) == ["bad_signature"]


@pytest.mark.usefixtures("delivered")
def test_stored_batches_are_sampled_and_found_good(engine: Engine) -> None:
    with engine.begin() as connection:
        checked = sum(service.sample(connection, NOW_US) for _ in range(40))
        held = connection.execute(select(checked_batches)).all()
        total = len(connection.execute(select(batches.c.batch_id)).all())
    # 320 draws among so few leave none out
    assert checked == len(held) == total == 6 + 3
    assert all(row.good for row in held)
    assert open_alerts(engine) == []


@pytest.mark.parametrize("fault", ["payload", "root"])
def test_a_changed_batch_is_found_and_cannot_be_proven(
    engine: Engine, delivered: Journal, fault: str
) -> None:
    trust(engine)
    work(engine)
    body = delivered.envelope(LANE_READINGS, 2)
    assert body is not None
    whole = envelope.unpack(body)
    decoded = batch.decode(whole.payload)
    rows = batch.records(decoded)
    changed = batch.encode([*rows[:-1], reading(99, "neighbour-c")], decoded.seed)
    with engine.begin() as connection:
        mine = batches.c.batch_id == whole.batch_id
        if fault == "payload":
            connection.execute(update(batches).where(mine).values(payload=changed))
        else:
            # whoever also mends the hashes of this envelope leaves its root, or breaks the chain
            root = bytes(32)
            again = envelope.seal(
                whole.payload,
                gateway="gw-1",
                lane=1,
                epoch=whole.epoch,
                seq=2,
                batch_id=whole.batch_id,
                prev_hash=whole.prev_hash,
                root=root,
            )
            connection.execute(
                update(envelopes)
                .where(envelopes.c.batch_id == whole.batch_id)
                .values(root=root, hash=again.hash)
            )
        for _ in range(40):
            service.sample(connection, NOW_US)
        (bad,) = connection.execute(
            select(checked_batches.c.batch_id).where(checked_batches.c.good.is_(False))
        )
    assert bad.batch_id == whole.batch_id
    assert open_alerts(engine) == ["bad_root"]
    with engine.begin() as connection:
        told = json.loads(connection.scalar(select(alert_table.c.detail)) or "")
    assert told == {"batch": whole.batch_id.hex(), "reason": fault}
    with pytest.raises(RefusedError, match=r"is not what gw-1 signed: chain\[0\]\.root"):
        prove(engine)


def test_the_background_work_pins_judges_and_samples(
    engine: Engine, open_journal: OpenJournal, tmp_path: Path
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    sealed(journal, 0, 2)
    sign(journal)
    deliver_all(engine, journal)
    for trusting in (False, True):
        settings = Settings(data_dir=tmp_path, trust_first_key=trusting, auto_bill=False)
        with engine.begin() as connection:
            # heard once more, as if the setting had been another at the first time
            connection.execute(outbox.delete())
            rows = connection.execute(select(batches.c.gateway_id, batches.c.batch_id)).all()
            connection.execute(outbox.insert(), [row._asdict() for row in rows])
        Worker(engine, settings).step()
        assert set(verdicts(engine)) == ({True} if trusting else {None})
        with engine.begin() as connection:
            assert connection.execute(select(checked_batches)).first() is not None
