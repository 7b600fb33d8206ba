"""Any order of what happens to a journal, against a model that is a few lists."""

import shutil
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.journal import Journal, JournalFullError
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import GENESIS, LANE_READINGS
from protocols.delivery.records import Reading
from tests.fixtures.delivery import START_US, reading

LANE = LANE_READINGS


class JournalMachine(RuleBasedStateMachine):
    """One lane: what was committed is in the batches or the tail, in order, whatever happens."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="hutong-model-"))
        self.copies = 0
        self.journal = Journal(self.root / "0" / "gw-1.journal", "gw-1")
        self.committed: list[Reading] = []
        self.bytes_of: dict[bytes, bytes] = {}
        self.epochs = {self.journal.status(LANE).epoch}
        self.acked = 0
        self.number = 0
        self.full = False

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.root)

    @rule(count=st.integers(1, 5), at_once=st.booleans())
    def append(self, count: int, at_once: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        rows = [reading(self.number + n) for n in range(count)]
        self.number += count
        try:
            self.journal.append(LANE, rows, seal_at_us=START_US if at_once else None)
        except JournalFullError:
            assert self.full
            return
        self.committed += rows

    @rule()
    def append_sealed(self) -> None:
        rows = [reading(self.number), reading(self.number + 1)]
        self.number += 2
        groups = [(START_US, rows[:1]), (START_US + 1, rows[1:])]
        # a tail must not be overtaken
        with suppress(JournalFullError):
            self.journal.seal(LANE, START_US)
        if self.journal.status(LANE).tail_records:
            return
        with suppress(JournalFullError):
            self.journal.append_sealed(LANE, groups, {"mark": str(self.number)})
            self.committed += rows
            assert self.journal.mark("mark") == str(self.number)

    @rule()
    def seal(self) -> None:
        try:
            following = self.journal.seal(LANE, START_US)
        except JournalFullError:
            assert self.full
            return
        assert following == self.journal.status(LANE).next
        assert self.journal.status(LANE).tail_records == 0

    @rule(part=st.floats(0, 1))
    def release(self, part: float) -> None:
        status = self.journal.status(LANE)
        through = status.acked + int(part * (status.next - 1 - status.acked))
        self.journal.release(LANE, through, status.generation, START_US)
        after = self.journal.status(LANE).acked
        # a full disk may or may not have a page for it
        assert after == through or (self.full and after == status.acked)
        self.acked = after

    @precondition(lambda self: not self.full)
    @rule(part=st.floats(0, 1))
    def rewind(self, part: float) -> None:
        status = self.journal.status(LANE)
        through = int(part * (status.next - 1))
        self.journal.rewind(LANE, through, status.generation + 1, START_US)
        after = self.journal.status(LANE)
        assert (after.acked, after.generation) == (through, status.generation + 1)
        self.acked = through

    @precondition(lambda self: not self.full)
    @rule()
    def new_epoch(self) -> None:
        self.journal.new_epoch(LANE)
        status = self.journal.status(LANE)
        assert status.epoch not in self.epochs
        assert (status.first, status.acked) == (1, 0)
        self.epochs.add(status.epoch)
        self.acked = 0

    @rule()
    def reopen(self) -> None:
        path, boot_id = self.journal.path, self.journal.boot_id
        self.journal.close()
        self.journal = Journal(path, "gw-1")
        self.full = False
        assert self.journal.boot_id != boot_id

    @rule()
    def kill(self) -> None:
        """Go on with a copy of the files as they are: nothing is closed or checkpointed."""
        self.copies += 1
        folder = self.root / str(self.copies)
        shutil.copytree(self.journal.path.parent, folder)
        self.journal.close()
        self.journal = Journal(folder / "gw-1.journal", "gw-1")
        self.full = False

    @rule()
    def fill_or_free_the_disk(self) -> None:
        self.full = not self.full
        db: sqlite3.Connection = self.journal._db
        pages = 1 if self.full else 1 << 20
        db.execute(f"PRAGMA max_page_count={pages}").fetchall()

    @invariant()
    def the_chain_is_whole_and_holds_what_was_committed(self) -> None:
        status = self.journal.status(LANE)
        before, rows, names = GENESIS, [], []
        assert status.acked == self.acked
        for seq in range(status.first, status.next):
            body = self.journal.envelope(LANE, seq)
            assert body is not None
            item = envelope.unpack(body)
            assert (item.seq, item.epoch, item.prev_hash) == (seq, status.epoch, before)
            assert item.hash == self.journal.hash_at(LANE, seq)
            before = item.hash
            names.append(item.batch_id)
            assert self.bytes_of.setdefault(item.batch_id, item.payload) == item.payload
            rows += batch.records(batch.decode(item.payload))
        assert len(set(names)) == len(names)
        assert rows == self.committed[: len(rows)]
        assert len(rows) + status.tail_records == len(self.committed)


JournalMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestJournalModel = JournalMachine.TestCase
