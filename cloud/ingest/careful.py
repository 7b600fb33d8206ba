"""Groups of messages to committed transactions; careful with each after a run that did not end."""

import hashlib
import time
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from cloud.ingest import attempts
from cloud.ingest.service import Incoming, Outcome, process
from protocols.failpoint import reach

# longer than gateways wait before they send a batch again
CAREFUL_S: Final = 600.0

log = structlog.get_logger("ingest")


class Committer:
    """Stores groups in transactions. One run of it at a time; `begin` before the first group.

    Where a run before this one did not end, attempts are counted: what was begun and not finished
    before is then taken alone, and what ends the worker again and again is not read any more.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._run: int | None = None
        self._careful_until_s = 0.0
        self._is_careful = False
        # begun when the database went away: that is not their fault
        self._innocent: set[bytes] = set()

    def begin(self) -> None:
        """Begin a run, if it is not begun."""
        if self._run is None:
            with self._engine.begin() as connection:
                self._run, unended = attempts.begin(connection, _now_us())
            if unended:
                self.beware()

    def end(self) -> None:
        """End the run as it should end."""
        if self._run is not None:
            with self._engine.begin() as connection:
                attempts.end(connection, self._run)
            self._run = None

    def beware(self) -> None:
        """Count attempts for the next ten minutes."""
        self._is_careful = True
        self._careful_until_s = time.monotonic() + CAREFUL_S
        log.warning("counting_attempts", for_s=CAREFUL_S)

    def commit(self, group: Sequence[Incoming]) -> Outcome:
        """Store a group durably; return what to answer."""
        if not self._is_careful:
            return self._store(group, frozenset())
        if time.monotonic() >= self._careful_until_s:
            self._relax()
            return self._store(group, frozenset())
        return self._carefully(group)

    def _store(self, group: Sequence[Incoming], deadly: frozenset[Incoming]) -> Outcome:
        with self._engine.begin() as connection:
            outcome = process(connection, group, _now_us(), deadly=deadly)
            if self._is_careful:
                attempts.forget(connection, map(_digest, group))
            reach("ingest.before_commit")
        return outcome

    def _carefully(self, group: Sequence[Incoming]) -> Outcome:
        whole = Outcome()
        if self._innocent:
            with self._engine.begin() as connection:
                attempts.forget(connection, self._innocent)
            self._innocent.clear()
        with self._engine.connect() as connection:
            reader = connection.execution_options(readonly=True)
            before = attempts.tried(reader, map(_digest, group))
        fresh = [message for message in group if _digest(message) not in before]
        suspects = list(dict.fromkeys(item for item in group if _digest(item) in before))
        for some, count in [
            *(([message], before[_digest(message)]) for message in suspects),
            (fresh, 0),
        ]:
            if count > attempts.LIMIT:
                whole.counts["dropped_deadly"] += 1
            elif some:
                outcome = self._try(some, is_deadly=count == attempts.LIMIT)
                whole.answers += outcome.answers
                whole.counts += outcome.counts
                whole.readings += outcome.readings
        return whole

    def _try(self, some: Sequence[Incoming], *, is_deadly: bool) -> Outcome:
        digests = {_digest(message) for message in some}
        with self._engine.begin() as connection:
            attempts.note(connection, digests, _now_us())
        if is_deadly:
            log.error("deadly_message", topic=some[0].topic, attempts=attempts.LIMIT)
        try:
            return self._store(some, frozenset(some) if is_deadly else frozenset())
        except (OperationalError, InterfaceError):
            self._innocent |= digests
            raise

    def _relax(self) -> None:
        before_us = _now_us() - int(CAREFUL_S * 1_000_000)
        with self._engine.begin() as connection:
            attempts.trust(connection, self._run or 0, before_us)
        self._is_careful = False


def _digest(message: Incoming) -> bytes:
    return hashlib.sha256(message.topic.encode() + b"\0" + message.payload).digest()


def _now_us() -> int:
    return time.time_ns() // 1000
