"""The ladder that a full journal climbs: grace copies, thinning, no readings, a reserve."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, TypeVar

from devices.driver import Clock
from edge.journal_chain import Chain
from edge.journal_errors import is_of_room
from edge.journal_losses import id_ranges, losses
from edge.journal_refusals import Refusals
from edge.journal_space import Space
from edge.journal_thinning import RESOLUTIONS_S, thin
from protocols.delivery import batch
from protocols.delivery.batch import Payload
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS, LANES
from protocols.delivery.records import Event, Record
from protocols.errors import WireError
from protocols.failpoint import reach

STEP_MARK: Final = "step"
ROOMY: Final = "roomy"
STOPPED: Final = "stopped"
_STEPS_AT_ONCE: Final = 4
_GRACE_AT_ONCE: Final = 2000
# a run that loses less than this part is not worth a new epoch
_WORTH: Final = 0.3
Result = TypeVar("Result")


class _Row(NamedTuple):
    id: int
    batch_id: bytes


class _ShortError(Exception):
    """A change leaves too few pages, by so many."""

    def __init__(self, pages: int) -> None:
        super().__init__(f"{pages} pages too few")
        self.pages = pages


class Retention:
    """Makes room in a journal; its caller holds the journal's lock and no transaction."""

    def __init__(
        self,
        db: sqlite3.Connection,
        chain: Chain,
        space: Space,
        *,
        transaction: Callable[[], AbstractContextManager[None]],
        clock: Clock,
    ) -> None:
        self._db = db
        self._chain = chain
        self._space = space
        self._transaction = transaction
        self._clock = clock
        self._refusals = Refusals(db, chain, transaction=transaction, clock=clock)

    @property
    def step(self) -> str:
        """Return where on the ladder the journal stands."""
        return self._mark(STEP_MARK) or ROOMY

    def write(
        self, change: Callable[[], Result], lane: int = LANE_EVENTS, records: Sequence[Record] = ()
    ) -> Result:
        """Commit a change; one that takes records only where it leaves room for what must follow.

        That is the ladder, and of readings also what lane 0 may take. JournalFullError where there
        is none: the records are counted.
        """
        try:
            if records:
                self._prepare(lane, records)
            return self._write(change, lane, records)
        except sqlite3.OperationalError as error:
            if records and is_of_room(error):
                self._refusals.remember(lane, records)
            raise

    def _write(self, change: Callable[[], Result], lane: int, records: Sequence[Record]) -> Result:
        missing = 0
        try:
            return self._commit(change, lane, records)
        except _ShortError as error:
            missing = error.pages
        except sqlite3.OperationalError as error:
            if not is_of_room(error):
                raise
            # the disk was fuller than it said: the reserve makes room for the ladder and for this
            self._space.give_up_reserve()
        self._climb(missing)
        try:
            return self._commit(change, lane, records)
        except _ShortError:
            if lane == LANE_READINGS:
                with self._transaction():
                    self._take_step(STOPPED, self._space.free_pages())
            self._refusals.refuse(lane, records)
        except sqlite3.OperationalError as error:
            if records and is_of_room(error):
                self._refusals.refuse(lane, records)
            raise

    def _prepare(self, lane: int, records: Sequence[Record]) -> None:
        space = self._space
        space.hold_reserve()
        free = space.free_pages()
        if free < space.pressure:
            free = self._climb()
        if free >= space.roomy and self.step != ROOMY:
            with self._transaction():
                self._take_step(ROOMY, free)
        elif self.step == STOPPED and free >= (space.events + space.pressure) // 2:
            with self._transaction():
                self._take_step("readings", free)
        self._refusals.write_down()
        for refused in LANES:
            room = refused == LANE_EVENTS or self.step != STOPPED
            if room and free >= space.own * 2:
                self._refusals.declare(refused)
        if lane == LANE_READINGS and self.step == STOPPED:
            self._refusals.refuse(lane, records)

    def _commit(self, change: Callable[[], Result], lane: int, records: Sequence[Record]) -> Result:
        space = self._space
        if not records:
            with self._transaction():
                return change()
        free, used = space.free_pages(), space.used_pages()
        least = space.events if lane == LANE_READINGS else space.own
        with self._transaction():
            result = change()
            # counted, not guessed: what is sealed in it may even give room
            left = free + used - space.used_pages()
            if left < least:
                raise _ShortError(least - left)
        return result

    def _climb(self, missing: int = 0) -> int:
        # drop grace copies, then thin readings, until there is room
        space = self._space
        wanted = max(space.pressure + space.pages // 16, space.free_pages() + missing)
        for _ in range(_STEPS_AT_ONCE):
            if (free := space.free_pages()) >= wanted:
                return free
            try:
                if not (self._drop_grace() or any(self._thin(step) for step in RESOLUTIONS_S)):
                    break
            except sqlite3.OperationalError as error:
                if not is_of_room(error):
                    raise
                # not even for this: the reserve is the last room there is
                if not space.give_up_reserve():
                    break
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return space.free_pages()

    def _drop_grace(self) -> bool:
        for lane in LANES:
            rows = self._db.execute(
                "SELECT e.seq, b.id, b.batch_id FROM envelopes e JOIN batches b ON b.id = e.batch"
                " JOIN lanes l ON l.lane = e.lane WHERE e.lane = ? AND e.seq < l.acked"
                " ORDER BY e.seq LIMIT ?",
                (lane, _GRACE_AT_ONCE),
            ).fetchall()
            if not rows:
                continue
            with self._transaction():
                for seq, row, _ in rows:
                    self._db.execute(
                        "DELETE FROM envelopes WHERE lane = ? AND seq = ?", (lane, seq)
                    )
                    self._delete(row)
                ids = id_ranges(name for _, _, name in rows)[:1000]
                self._take_step("grace", self._space.free_pages())
                self._tell("grace_dropped", {"lane": lane, "ids": ids, "batches": len(rows)})
                reach("journal.grace")
            return True
        return False

    def _thin(self, resolution_s: int) -> bool:
        run = self._run(resolution_s)
        if not run:
            return False
        now_us = self._clock.now_us()
        with self._transaction():
            odd: set[bytes] = set()
            thinned = thin(self._payloads(run, odd), resolution_s=resolution_s)
            lost = sum(count or 0 for count in thinned.lost.values())
            total = lost + sum(map(len, thinned.kept.values()))
            thick = {row.id for row in run if row.batch_id not in odd}
            if lost < _WORTH * total or not thick:
                self._note_thinned([row.id for row in run], resolution_s)
                return True
            order = self._chain.order(LANE_READINGS)
            for row in thick:
                self._delete(row)
            reach("journal.thinning")
            fresh = self._chain.insert_replacing(thinned.kept, now_us)
            self._note_thinned(fresh, resolution_s)
            self._note_thinned([row.id for row in run if row.batch_id in odd], resolution_s)
            place = next(index for index, row in enumerate(order) if row in thick)
            order = [row for row in order if row not in thick]
            self._chain.renew(LANE_READINGS, [*order[:place], *fresh, *order[place:]])
            events = losses(
                LANE_READINGS,
                thinned.lost,
                span_us=(thinned.first_us, thinned.last_us),
                reason=f"full, thinned to {resolution_s} s",
                at=(now_us, self._clock.monotonic_us()),
            )
            self._take_step("thinning", self._space.free_pages())
            self._chain.store(LANE_EVENTS, events, now_us)
            reach("journal.thinned")
        return True

    def _run(self, resolution_s: int) -> list[_Row]:
        # the oldest that were not thinned as far, as many as one transaction should take
        least = max(64 * 1024, self._space.pages * self._space.page_bytes // 64)
        run: list[_Row] = []
        size = 0
        for row, name, length in self._db.execute(
            "SELECT b.id, b.batch_id, length(b.payload) FROM envelopes e"
            " JOIN batches b ON b.id = e.batch JOIN lanes l ON l.lane = e.lane"
            " LEFT JOIN thinned t ON t.batch = b.id"
            " WHERE e.lane = ? AND e.seq > l.acked AND ifnull(t.resolution_s, 0) < ?"
            " ORDER BY e.seq",
            (LANE_READINGS, resolution_s),
        ):
            run.append(_Row(row, name))
            size += length
            if size >= 2 * least:
                break
        return run if size >= least else []

    def _payloads(self, run: Sequence[_Row], odd: set[bytes]) -> Iterator[tuple[bytes, Payload]]:
        for row, name in run:
            (body,) = self._db.execute(
                "SELECT payload FROM batches WHERE id = ?", (row,)
            ).fetchone()
            try:
                payload = batch.decode(body)
                for columns in batch.all_series(payload):
                    batch.check(columns)
            except WireError:
                odd.add(name)
                continue
            if payload.events:
                odd.add(name)
                continue
            yield name, payload

    def _delete(self, row: int) -> None:
        self._db.execute("DELETE FROM batches WHERE id = ?", (row,))
        self._db.execute("DELETE FROM thinned WHERE batch = ?", (row,))

    def _note_thinned(self, rows: Sequence[int], resolution_s: int) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO thinned VALUES (?, ?)", [(row, resolution_s) for row in rows]
        )

    def _take_step(self, step: str, free: int) -> None:
        # within the caller's transaction
        before = self.step
        if step == before or (before == STOPPED and step in ("grace", "thinning")):
            return
        self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (STEP_MARK, step))
        self._tell("journal_step", {"step": step, "free_bytes": free * self._space.page_bytes})

    def _tell(self, kind: str, body: dict[str, str | int | None]) -> None:
        now_us = self._clock.now_us()
        event = Event("", kind, now_us, self._clock.monotonic_us(), body)
        self._chain.store(LANE_EVENTS, [event], now_us)

    def _mark(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM marks WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])
