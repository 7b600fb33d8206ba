"""A group of messages in one transaction, on SQLite and PostgreSQL."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError

from cloud.alerts import repository as alerts
from cloud.database import open_engine
from cloud.ingest import repository
from cloud.ingest.service import Incoming, Outcome, process
from cloud.ingest.tables import batches, envelopes, lanes, outbox, quarantine
from cloud.sites.tables import buildings, devices, gateways
from edge.journal import Journal
from protocols.delivery import envelope, messages, sender, topics
from protocols.delivery.envelope import LANE_READINGS
from protocols.delivery.messages import Ack, Fence, Nack
from protocols.delivery.receiver import WINDOW
from tests.fixtures.delivery import (
    NOW_US,
    START_US,
    OpenJournal,
    add_site,
    deliver,
    fill,
    hello,
    packed,
    reading,
    stored_counts,
)

LANE = LANE_READINGS


def ack(outcome: Outcome, lane: int = LANE) -> Ack:
    (answer,) = [it for _, it in outcome.answers if isinstance(it, Ack) and it.lane == lane]
    return answer


def rows(engine: Engine, table: str) -> int:
    known = {"batches": batches, "envelopes": envelopes, "quarantine": quarantine, "outbox": outbox}
    with engine.begin() as connection:
        return connection.scalar(select(func.count()).select_from(known[table])) or 0


def counts(engine: Engine, device: str = "e-1") -> list[int | None]:
    with engine.begin() as connection:
        return stored_counts(connection, device)


def forged(journal: Journal, seq: int, payload: bytes) -> Incoming:
    """Return an envelope of the journal's epoch, rightly hashed, around any payload."""
    made = envelope.seal(
        payload,
        gateway=journal.gateway,
        lane=LANE,
        epoch=journal.status(LANE).epoch,
        seq=seq,
        batch_id=envelope.batch_id(b"forged------", seq),
        prev_hash=journal.hash_at(LANE, seq - 1) or envelope.GENESIS,
        root=bytes(32),
    )
    return Incoming(topics.up(journal.gateway, "1"), envelope.pack(made))


def test_batches_are_stored_once_and_acknowledged(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 3)
    group = [packed(journal, seq) for seq in (1, 2, 2, 1)]
    answer = ack(deliver(engine, group))
    assert (answer.through, answer.have) == (2, [])
    assert bytes.fromhex(answer.hash_through) == journal.hash_at(LANE, 2)

    outcome = deliver(engine, [packed(journal, seq) for seq in (1, 2, 3)])
    assert outcome.counts == {"known": 2, "store": 1, "dropped_unknown_gateway": 0}
    assert ack(outcome).through == 3
    assert rows(engine, "batches") == rows(engine, "envelopes") == rows(engine, "outbox") == 3
    assert counts(engine) == [1000, 1001, 1002]


def test_any_order_within_the_window(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 6)
    answer = ack(deliver(engine, [packed(journal, 6)]))
    assert (answer.through, answer.have) == (0, [(6, 6)])
    answer = ack(deliver(engine, [packed(journal, 3), packed(journal, 1), packed(journal, 2)]))
    assert (answer.through, answer.have) == (3, [(6, 6)])
    answer = ack(deliver(engine, [packed(journal, 5), packed(journal, 4)]))
    assert (answer.through, answer.have) == (6, [])
    assert counts(engine) == [1000, 1001, 1002, 1003, 1004, 1005]


def test_past_the_window_nothing_is_stored(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    outcome = deliver(engine, [forged(journal, WINDOW + 1, b"x")])
    assert outcome.counts["outside_window"] == 1
    assert rows(engine, "batches") == 0


def test_poison_is_kept_apart_and_the_lane_goes_on(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 1)
    poison = forged(journal, 2, b"no batch")
    outcome = deliver(engine, [packed(journal, 1), poison])
    assert ("gw-1", Nack(LANE, journal.status(LANE).epoch, 2, "poison")) in outcome.answers
    assert ack(outcome).through == 2
    again = deliver(engine, [poison])
    assert ack(again).through == 2
    assert rows(engine, "quarantine") == 1
    assert counts(engine) == [1000]


@pytest.mark.parametrize(
    "changed", [{"device": "x" * 65}, {"point": "a\0b"}, {"exponent": 1 << 40}, {"read_at_us": 1}]
)
def test_a_reading_that_no_column_holds_blocks_nobody(
    changed: dict[str, object], engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    journal.append(LANE, [reading(0), reading(1, **changed)], seal_at_us=START_US)
    assert ack(deliver(engine, [packed(journal, 1)])).through == 1
    assert counts(engine) == [1000]
    assert rows(engine, "quarantine") == 1


def test_a_reading_of_another_gateways_device_is_kept_apart(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    add_site(engine, "gw-2", project="p-2")
    with engine.begin() as connection:
        names = {"name": "x", "name_en": "x"}
        connection.execute(buildings.insert().values(id="b", project_id="p-2", position=1, **names))
        row = {"id": "e-2", "project_id": "p-2", "gateway_id": "gw-2", "building_id": "b"}
        row |= {"medium": "electric", "profile": "eastron-sdm120"}
        connection.execute(devices.insert().values(**row, **names, period_s=60))
    journal = open_journal()
    journal.append(LANE, [reading(0), reading(1, "e-2")], seal_at_us=START_US)
    outcome = deliver(engine, [packed(journal, 1)])
    assert outcome.readings == 1
    assert (counts(engine), counts(engine, "e-2")) == ([1000], [])
    assert rows(engine, "quarantine") == 1


def test_what_is_not_the_gateways_is_dropped(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1", "gw-2")
    journal, stranger = open_journal(), open_journal("x.journal", "gw-x")
    fill(journal, 1)
    fill(stranger, 1)
    body = packed(journal, 1).payload
    flipped = bytes([*body[:-1], body[-1] ^ 1])
    outcome = deliver(
        engine,
        [
            Incoming(topics.up("gw-2", "1"), body),
            Incoming(topics.up("gw-1", "0"), body),
            Incoming(topics.up("gw-1", "1"), flipped),
            Incoming(topics.up("gw-1", "hello"), b"{}"),
            Incoming("v1/up/gw-1/other", body),
            packed(stranger, 1),
            hello(stranger),
        ],
    )
    assert outcome.answers == []
    assert outcome.counts == {
        "dropped_foreign": 2,
        "dropped_nonsense": 3,
        "dropped_unknown_gateway": 1,
    }
    assert rows(engine, "batches") == rows(engine, "quarantine") == 0


def test_a_twin_is_fenced_and_both_sides_arrive(
    engine: Engine, open_journal: OpenJournal, tmp_path: Path
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 1)
    (tmp_path / "twin.journal").write_bytes(_snapshot(journal, tmp_path))
    twin = open_journal("twin.journal")
    fill(journal, 1, first=1)
    fill(twin, 1, first=2)
    assert ack(deliver(engine, [packed(journal, 1), packed(journal, 2)])).through == 2

    outcome = deliver(engine, [packed(twin, 2)])
    epoch = journal.status(LANE).epoch
    assert [it for _, it in outcome.answers] == [
        Fence(LANE, epoch, "a sequence number came with another hash")
    ]
    assert rows(engine, "quarantine") == 1
    outcome = deliver(engine, [hello(journal)])
    assert any(isinstance(it, Fence) and it.epoch == epoch for _, it in outcome.answers)
    with engine.begin() as connection:
        held = connection.execute(select(lanes.c.fenced, lanes.c.reason)).all()
        suspected = alerts.open_causes(connection, alerts.CLONE_SUSPECT)
    assert (True, "a sequence number came with another hash") in [tuple(row) for row in held]
    assert suspected == {alerts.clone_cause("gw-1")}

    for one in (journal, twin):
        one.new_epoch(LANE)
        assert ack(deliver(engine, [packed(one, 1), packed(one, 2)])).through == 2
    assert counts(engine) == [1000, 1001, 1002]
    assert rows(engine, "batches") == 3


def test_a_restored_database_raises_its_generation_and_gets_all_again(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 5)
    _drain(engine, journal)
    assert journal.status(LANE).acked == 5
    before = journal.status(LANE).generation

    # an older copy: the last three batches were never stored
    lost = [packed(journal, seq).payload for seq in (3, 4, 5)]
    ids = [envelope.unpack(body).batch_id for body in lost]
    second = journal.hash_at(LANE, 2)
    with engine.begin() as connection:
        for table in (batches, envelopes, outbox):
            connection.execute(table.delete().where(table.c.batch_id.in_(ids)))
        connection.execute(
            lanes.update().where(lanes.c.lane == LANE).values(through=2, hash_through=second)
        )
    fill(journal, 1, first=5)
    _drain(engine, journal)
    status = journal.status(LANE)
    assert (status.acked, status.generation) == (6, before + 1)
    assert counts(engine) == [1000, 1001, 1002, 1003, 1004, 1005]
    assert rows(engine, "batches") == 6


def test_an_older_copy_of_the_file_gets_all_again(
    open_journal: OpenJournal, tmp_path: Path, sqlite_engine: Engine
) -> None:
    add_site(sqlite_engine, "gw-1")
    journal = open_journal()
    fill(journal, 2)
    _drain(sqlite_engine, journal)
    with sqlite_engine.connect() as connection:
        reader = connection.execution_options(isolation_level="AUTOCOMMIT", readonly=True)
        reader.rollback()
    raw = sqlite_engine.raw_connection()
    raw.cursor().execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    raw.close()
    fill(journal, 3, first=2)
    _drain(sqlite_engine, journal)
    assert journal.status(LANE).acked == 5

    restored = open_engine(f"sqlite:///{tmp_path / 'copy.db'}")
    assert counts(restored) == [1000, 1001]
    _drain(restored, journal)
    assert counts(restored) == [1000, 1001, 1002, 1003, 1004]
    assert journal.status(LANE).generation == 2
    restored.dispose()


def test_an_unknown_epoch_of_a_gateway_with_acknowledgements_means_restored(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 2)
    journal.release(LANE, 2, 7, START_US)
    answer = ack(deliver(engine, [hello(journal)]))
    assert (answer.through, answer.generation) == (0, 8)
    with engine.begin() as connection:
        assert repository.generation(connection, "gw-1") == 8


def test_a_hello_is_remembered(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 3)
    outcome = deliver(engine, [hello(journal)])
    assert sorted(it.lane for _, it in outcome.answers) == [0, 1]
    with engine.begin() as connection:
        row = connection.execute(select(gateways)).one()
    assert (row.install_id, row.backlog, row.last_seen_us) == (journal.install_id, 3, NOW_US)
    assert (row.hello_nonce, row.hello_us) == ("n", NOW_US)


def test_an_answer_says_which_hello_it_answers(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 1)
    answers = deliver(engine, [hello(journal)]).answers
    assert [it.hello for _, it in answers if isinstance(it, Ack)] == ["n", "n"]
    # what answers batches answers no HELLO: its time was stamped whenever
    assert ack(deliver(engine, [packed(journal, 1)])).hello == ""


def test_nothing_is_kept_of_a_group_that_fails(
    engine: Engine, open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 1)

    def fail(*_: object) -> None:
        raise DBAPIError("INSERT", None, RuntimeError("gone"))

    with monkeypatch.context() as patch:
        patch.setattr("cloud.telemetry.repository.store", fail)
        with pytest.raises(DBAPIError):
            deliver(engine, [packed(journal, 1)])
    assert rows(engine, "batches") == rows(engine, "outbox") == 0
    assert ack(deliver(engine, [packed(journal, 1)])).through == 1


def test_two_workers_share_a_gateway(engine: Engine, open_journal: OpenJournal) -> None:
    # the second begins while the first has not committed, and must see what it stored
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, 2)
    outcomes: list[Outcome] = []
    with engine.begin() as connection:
        process(connection, [packed(journal, 1)], NOW_US)
        second = threading.Thread(
            target=lambda: outcomes.append(deliver(engine, [packed(journal, 2)]))
        )
        second.start()
        second.join(0.3)
        assert not outcomes
    second.join(20)
    (outcome,) = outcomes
    assert ack(outcome).through == 2
    assert counts(engine) == [1000, 1001]


def _snapshot(journal: Journal, folder: Path) -> bytes:
    path = folder / "snapshot"
    journal._db.execute("VACUUM INTO ?", (str(path),))
    return path.read_bytes()


def _drain(engine: Engine, journal: Journal) -> None:
    """Send as the gateway's own state machine says, until all of it is acknowledged."""
    status = journal.status(LANE)
    state = sender.SenderState(
        LANE, status.epoch, status.first, status.next, status.acked, status.generation
    )
    state, _ = sender.step(state, sender.Connected(), 0)
    outcome = deliver(engine, [hello(journal)])
    for _ in range(20):
        state, effects = sender.step(state, _event(journal, ack(outcome)), 0)
        group = []
        for effect in effects:
            match effect:
                case sender.Send(seq=seq):
                    group.append(packed(journal, seq))
                case sender.Release(through=through, generation=generation):
                    journal.release(LANE, through, generation, NOW_US)
                case sender.Rewind(through=through, generation=generation):
                    journal.rewind(LANE, through, generation, NOW_US)
        if not group:
            break
        outcome = deliver(engine, group)
    assert state.acked == state.next - 1


def _event(journal: Journal, answer: messages.Ack) -> sender.Acknowledged:
    return sender.Acknowledged(
        answer.epoch,
        answer.through,
        tuple(answer.have),
        bytes.fromhex(answer.hash_through),
        journal.hash_at(LANE, answer.through),
        answer.generation,
        answer.credit,
    )
