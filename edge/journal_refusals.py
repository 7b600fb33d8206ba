"""What a full journal refused: counted durably, and declared when there is room."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NoReturn

import msgspec

from devices.driver import Clock
from edge.journal_chain import Chain
from edge.journal_errors import JournalFullError, is_of_room
from edge.journal_losses import loss
from edge.journal_migrations import REFUSED_MARK
from protocols.delivery.envelope import LANE_EVENTS
from protocols.delivery.records import Reading, Record
from protocols.failpoint import reach


class Refused(msgspec.Struct, frozen=True):
    """Records that there was no room for, not yet declared."""

    count: int
    first_us: int
    last_us: int


class Refusals:
    """Counts refused records by lane; its caller holds the journal's lock and no transaction."""

    def __init__(
        self,
        db: sqlite3.Connection,
        chain: Chain,
        *,
        transaction: Callable[[], AbstractContextManager[None]],
        clock: Clock,
    ) -> None:
        self._db = db
        self._chain = chain
        self._transaction = transaction
        self._clock = clock
        # a disk may have no room for a count either
        self._unwritten: dict[int, Refused] = {}

    def refuse(self, lane: int, records: Sequence[Record]) -> NoReturn:
        """Count records as refused; raises JournalFullError."""
        refused = _added(self._refused(lane), records)
        self._write(lane, refused)
        message = f"lane {lane}: no room for {len(records)} records; {refused.count} refused so far"
        raise JournalFullError(message)

    def remember(self, lane: int, records: Sequence[Record]) -> None:
        """Count records in memory, until there is room to write their number down."""
        self._unwritten[lane] = _added(self._unwritten.get(lane), records)

    def write_down(self) -> None:
        """Write down what was counted in memory, where there is room for it now."""
        for lane in list(self._unwritten):
            if (refused := self._refused(lane)) is None:
                continue
            try:
                self._write(lane, refused)
            except sqlite3.OperationalError as error:
                if not is_of_room(error):
                    raise

    def declare(self, lane: int) -> None:
        """Tell in lane 0 of what was refused, if anything was."""
        if (refused := self._refused(lane)) is None:
            return
        now_us = self._clock.now_us()
        told = loss(
            lane,
            "",
            count=refused.count,
            span_us=(refused.first_us, refused.last_us),
            reason="full, refused",
            at=(now_us, self._clock.monotonic_us()),
        )
        with self._transaction():
            self._db.execute("DELETE FROM marks WHERE key = ?", (f"{REFUSED_MARK}{lane}",))
            self._chain.store(LANE_EVENTS, [told], now_us)
            reach("journal.losses")
        self._unwritten.pop(lane, None)

    def _write(self, lane: int, refused: Refused) -> None:
        note = msgspec.json.encode(refused).decode()
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO marks VALUES (?, ?)", (f"{REFUSED_MARK}{lane}", note)
            )
            reach("journal.refused")
        self._unwritten.pop(lane, None)

    def _refused(self, lane: int) -> Refused | None:
        unwritten = self._unwritten.get(lane)
        query = "SELECT value FROM marks WHERE key = ?"
        row = self._db.execute(query, (f"{REFUSED_MARK}{lane}",)).fetchone()
        if row is None:
            return unwritten
        written = msgspec.json.decode(row[0], type=Refused)
        return written if unwritten is None else _sum(written, unwritten)


def _added(held: Refused | None, records: Sequence[Record]) -> Refused:
    times = [row.read_at_us if isinstance(row, Reading) else row.at_us for row in records]
    refused = Refused(len(records), min(times), max(times))
    return refused if held is None else _sum(held, refused)


def _sum(first: Refused, second: Refused) -> Refused:
    return Refused(
        first.count + second.count,
        min(first.first_us, second.first_us),
        max(first.last_us, second.last_us),
    )
