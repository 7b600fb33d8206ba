"""The journal: what was committed is still there, in order, whole, whatever happened since."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from edge import journal as journal_module
from edge.journal import GRACE_S, Journal, JournalError, JournalFullError
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import GENESIS, LANE_EVENTS, LANE_READINGS, LANES, Envelope
from protocols.delivery.records import Event, Record
from tests.fixtures.delivery import START_US, OpenJournal, fill, reading

LANE = LANE_READINGS
WEEK_US = (GRACE_S + 1) * 1_000_000


def chain(journal: Journal, lane: int = LANE) -> list[Envelope]:
    status = journal.status(lane)
    packed = [journal.envelope(lane, seq) for seq in range(status.first, status.next)]
    return [envelope.unpack(body) for body in packed if body is not None]


def records(journal: Journal, lane: int = LANE) -> list[Record]:
    return [
        record
        for item in chain(journal, lane)
        for record in batch.records(batch.decode(item.payload))
    ]


def copied(journal: Journal, folder: Path) -> Path:
    """Copy the files as a power cut would leave them: nothing is closed or checkpointed."""
    folder.mkdir()
    for file in journal.path.parent.glob(f"{journal.path.name}*"):
        shutil.copy(file, folder)
    return folder / journal.path.name


def test_a_batch_is_sealed_from_the_tail_in_order(open_journal: OpenJournal) -> None:
    journal = open_journal()
    journal.append(LANE, [reading(0), reading(1)])
    journal.append(LANE, [reading(2)])
    assert journal.status(LANE).tail_records == 3
    assert journal.seal(LANE, START_US) == 2
    assert records(journal) == [reading(0), reading(1), reading(2)]
    assert journal.status(LANE).tail_records == 0
    assert journal.seal(LANE, START_US) == 2


def test_the_chain_has_no_gap_and_lanes_are_independent(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 5)
    journal.append(0, [Event("", "started", 1, 2)], seal_at_us=START_US)
    before = GENESIS
    for seq, item in enumerate(chain(journal), start=1):
        assert (item.seq, item.prev_hash, item.gateway) == (seq, before, "gw-1")
        assert item.root == batch.merkle_root(batch.decode(item.payload))
        assert journal.hash_at(LANE, seq) == item.hash
        before = item.hash
    assert len(chain(journal, 0)) == 1
    assert journal.status(0).epoch != journal.status(LANE).epoch
    assert len({item.batch_id for lane in LANES for item in chain(journal, lane)}) == 6


def test_a_long_tail_becomes_several_bounded_batches(open_journal: OpenJournal) -> None:
    journal = open_journal()
    count = batch.MAX_RECORDS + 10
    journal.append(LANE, [reading(number) for number in range(count)], seal_at_us=START_US)
    assert journal.status(LANE).next == 3
    assert records(journal) == [reading(number) for number in range(count)]


def test_records_over_the_byte_bound_are_split(open_journal: OpenJournal) -> None:
    journal = open_journal()
    # digits that no compressor foresees
    events: list[Record] = [
        Event("e-1", "note", at, at, {"text": f"{pow(7919, at + 50):x}"[:400]}) for at in range(600)
    ]
    journal.append(0, events, seal_at_us=START_US)
    assert journal.status(0).next > 2
    assert all(len(item.payload) <= batch.MAX_BYTES for item in chain(journal, 0))
    assert records(journal, 0) == events


STEPS: list[tuple[str, Callable[[Journal], object]]] = [
    ("append", lambda journal: journal.append(LANE, [reading(100)])),
    ("seal", lambda journal: journal.seal(LANE, START_US)),
    (
        "append_sealed",
        lambda journal: journal.append_sealed(LANE, [(START_US, [reading(101)])], {"mark": "7"}),
    ),
    ("release", lambda journal: journal.release(LANE, 2, 3, START_US)),
    ("rewind", lambda journal: journal.rewind(LANE, 1, 4, START_US)),
    ("new_epoch", lambda journal: journal.new_epoch(LANE)),
]


@pytest.mark.parametrize(("name", "step"), STEPS, ids=[name for name, _ in STEPS])
def test_a_power_cut_after_a_step_keeps_it(
    name: str, step: Callable[[Journal], object], open_journal: OpenJournal, tmp_path: Path
) -> None:
    journal = open_journal()
    fill(journal, 3)
    journal.append(LANE, [reading(50)])
    step(journal)
    with closing(Journal(copied(journal, tmp_path / name), "gw-1")) as after:
        assert after.status(LANE) == journal.status(LANE)
        assert chain(after) == chain(journal)
        assert after.mark("mark") == journal.mark("mark")
        assert after.install_id == journal.install_id
        after.seal(LANE, START_US)
        assert reading(50) in records(after)


@pytest.mark.parametrize(("name", "step"), STEPS, ids=[name for name, _ in STEPS])
def test_a_step_that_fails_before_its_commit_leaves_nothing(
    name: str,
    step: Callable[[Journal], object],
    open_journal: OpenJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = open_journal()
    fill(journal, 3)
    journal.append(LANE, [reading(50)])
    before, chained = journal.status(LANE), chain(journal)

    class Cut(journal_module._Transaction):
        def __exit__(self, *_: object) -> None:
            super().__exit__(RuntimeError, None, None)
            raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_Transaction", Cut)
        with pytest.raises(RuntimeError):
            step(journal)
    assert (journal.status(LANE), chain(journal)) == (before, chained), name
    step(journal)


def test_an_older_copy_goes_on_with_ids_of_its_own(
    open_journal: OpenJournal, tmp_path: Path
) -> None:
    journal = open_journal()
    fill(journal, 1)
    with closing(Journal(copied(journal, tmp_path / "copy"), "gw-1")) as twin:
        fill(twin, 1, first=1)
        fill(journal, 1, first=1)
        ours, theirs = chain(journal)[1], chain(twin)[1]
        assert (ours.epoch, ours.seq) == (theirs.epoch, theirs.seq)
        assert ours.batch_id != theirs.batch_id
        assert ours.hash != theirs.hash


def test_acknowledged_batches_stay_for_their_grace(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 4)
    journal.release(LANE, 3, 1, START_US)
    assert len(chain(journal)) == 4
    journal.release(LANE, 3, 1, START_US + WEEK_US)
    # the last acknowledged one stays: its hash is what an ACK is checked by
    assert [item.seq for item in chain(journal)] == [3, 4]
    assert journal.status(LANE).first == 3
    assert journal.envelope(LANE, 2) is None
    assert journal.hash_at(LANE, 3) is not None


def test_batches_below_a_rewound_watermark_have_a_grace_too(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 4)
    # a cloud of a new generation may also be further than we knew
    journal.rewind(LANE, 2, 2, START_US)
    journal.release(LANE, 4, 2, START_US + 1)
    journal.release(LANE, 4, 2, START_US + WEEK_US)
    assert [item.seq for item in chain(journal)] == [4]


def test_rewound_batches_begin_their_grace_anew(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 4)
    journal.release(LANE, 4, 1, START_US)
    journal.rewind(LANE, 0, 2, START_US)
    assert journal.status(LANE).acked == 0
    journal.release(LANE, 4, 2, START_US + WEEK_US)
    journal.release(LANE, 4, 2, START_US + WEEK_US + 1)
    assert len(chain(journal)) == 4


def test_what_neither_side_holds_any_more_is_declared(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 5)
    journal.new_epoch(LANE, gone=(2, 3))
    (told,) = records(journal, LANE_EVENTS)
    assert isinstance(told, Event)
    assert told.kind == "loss"
    assert told.body["lane"] == LANE
    assert "batches 2-3" in str(told.body["reason"])
    assert len(chain(journal)) == 5


def test_a_new_epoch_keeps_ids_and_bytes(open_journal: OpenJournal) -> None:
    journal = open_journal()
    fill(journal, 4)
    journal.release(LANE, 2, 1, START_US)
    old = chain(journal)
    journal.new_epoch(LANE)
    new = chain(journal)
    assert [(item.batch_id, item.payload, item.root) for item in new] == [
        (item.batch_id, item.payload, item.root) for item in old
    ]
    assert [item.seq for item in new] == [1, 2, 3, 4]
    assert new[0].prev_hash == GENESIS
    assert {item.epoch for item in new}.isdisjoint({item.epoch for item in old})
    assert journal.status(LANE).acked == 0


def test_marks_are_committed_with_the_records(open_journal: OpenJournal) -> None:
    journal = open_journal()
    assert journal.mark("through") is None
    journal.append(LANE, [reading(1)], marks={"through": "5"})
    assert journal.mark("through") == "5"


def test_the_journal_of_another_gateway_is_refused(open_journal: OpenJournal) -> None:
    journal = open_journal()
    with pytest.raises(JournalError, match="'gw-1', not of 'gw-2'") as caught:
        Journal(journal.path, "gw-2")
    assert str(journal.path) in str(caught.value)


def test_a_journal_of_a_later_format_is_refused(open_journal: OpenJournal) -> None:
    journal = open_journal()
    journal.close()
    with closing(sqlite3.connect(journal.path)) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("UPDATE marks SET value = '99' WHERE key = 'format'")
        db.commit()
    with pytest.raises(JournalError, match="format 99"):
        Journal(journal.path, "gw-1")


def test_a_folder_in_the_place_of_the_journal_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as caught:
        Journal(tmp_path, "gw-1")
    assert str(tmp_path) in str(caught.value)


def test_a_disk_that_refuses_the_commit_does_not_block_the_next(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal()

    class Full:
        def __init__(self, db: sqlite3.Connection) -> None:
            self._db = db

        @property
        def in_transaction(self) -> bool:
            return self._db.in_transaction

        def execute(self, statement: str) -> sqlite3.Cursor:
            if statement == "COMMIT":
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return self._db.execute(statement)

    with monkeypatch.context() as patch:
        patch.setattr(
            journal, "_transaction", lambda: journal_module._Transaction(Full(journal._db))
        )
        with pytest.raises(JournalFullError, match="full"):
            journal.append(LANE, [reading(1)])
    journal.append(LANE, [reading(2)], seal_at_us=START_US)
    assert records(journal) == [reading(2)]


def test_journal_files_survive_full_synchronisation(open_journal: OpenJournal) -> None:
    # NORMAL lost commits in most power cuts; only FULL keeps them
    db = open_journal()._db
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_a_run_left_open_is_sealed_under_its_own_id(open_journal: OpenJournal) -> None:
    first = open_journal()
    first.append(LANE_READINGS, [reading(1)], seal_at_us=START_US)
    first.append(LANE_READINGS, [reading(2)])
    first.close()
    second = open_journal()
    second.append(LANE_READINGS, [reading(3)], seal_at_us=START_US)
    boots = []
    for seq in (1, 2, 3):
        body = second.envelope(LANE_READINGS, seq)
        assert body is not None
        boots.append(envelope.unpack(body).batch_id[: envelope.BOOT_ID_BYTES])
    assert boots == [first.boot_id, first.boot_id, second.boot_id]
    assert second.status(LANE_READINGS).tail_records == 0


def test_what_two_runs_left_open_is_sealed_under_the_ids_of_both(open_journal: OpenJournal) -> None:
    first = open_journal()
    first.append(LANE_READINGS, [reading(1)])
    first.close()
    second = open_journal()
    second.append(LANE_READINGS, [reading(2)])
    second.append(LANE_EVENTS, [Event("", "started", 1, 2)])
    second.close()
    third = open_journal()
    third.append(LANE_READINGS, [reading(3)], seal_at_us=START_US)
    third.append(LANE_EVENTS, [Event("", "started", 3, 4)], seal_at_us=START_US)
    boots = [item.batch_id[: envelope.BOOT_ID_BYTES] for item in chain(third)]
    assert boots == [first.boot_id, second.boot_id, third.boot_id]
    assert records(third) == [reading(1), reading(2), reading(3)]
    boots = [item.batch_id[: envelope.BOOT_ID_BYTES] for item in chain(third, LANE_EVENTS)]
    assert boots == [second.boot_id, third.boot_id]


def test_a_long_tail_is_sealed_bit_by_bit(open_journal: OpenJournal) -> None:
    journal = open_journal()
    rows = [reading(number) for number in range(10_000)]
    for start in range(0, len(rows), 700):
        journal.append(LANE, rows[start : start + 700])
    transactions = 0
    seal_tail = journal._chain.seal_tail

    def counted(lane: int, now_us: int, more: Sequence[Record] = ()) -> None:
        nonlocal transactions
        transactions += 1
        seal_tail(lane, now_us, more)

    journal._chain.seal_tail = counted  # type: ignore[method-assign]
    journal.append(LANE, [reading(10_000)], seal_at_us=START_US)
    assert transactions == 3
    assert records(journal) == [*rows, reading(10_000)]
    assert journal.status(LANE).tail_records == 0
