"""A message that ends the worker that reads it: counted only after a run that did not end."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from cloud.ingest.attempt_tables import ingest_attempts as attempts
from cloud.ingest.attempt_tables import ingest_runs as runs

# so often it is read; after that it is poison unread, and after one more it is dropped unseen
LIMIT: Final = 3


def begin(connection: Connection, now_us: int) -> tuple[int, bool]:
    """Note that a run begins; return its number, and whether one before it has not ended.

    That may be a worker that runs beside this one: counting for a while costs little.
    """
    unended = connection.scalar(select(runs.c.id).limit(1)) is not None
    made = connection.execute(runs.insert().values(started_us=now_us).returning(runs.c.id))
    return int(made.scalar_one()), unended


def end(connection: Connection, run: int) -> None:
    """Note that a run ended as it should."""
    connection.execute(delete(runs).where(runs.c.id == run))


def trust(connection: Connection, run: int, tried_before_us: int) -> None:
    """Forget the runs before this one, and what was tried so long ago."""
    connection.execute(delete(runs).where(runs.c.id < run))
    connection.execute(delete(attempts).where(attempts.c.tried_us < tried_before_us))


def tried(connection: Connection, digests: Iterable[bytes]) -> dict[bytes, int]:
    """Return how often each of these messages was begun and not finished, if it was."""
    query = select(attempts.c.digest, attempts.c.attempts).where(
        attempts.c.digest.in_(set(digests))
    )
    return {bytes(row.digest): row.attempts for row in connection.execute(query)}


def note(connection: Connection, digests: Iterable[bytes], now_us: int) -> None:
    """Count one attempt more at each of these messages."""
    rows = [{"digest": each, "attempts": 1, "tried_us": now_us} for each in sorted(set(digests))]
    maker = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = maker(attempts)
    more = {"attempts": attempts.c.attempts + 1, "tried_us": statement.excluded.tried_us}
    connection.execute(statement.on_conflict_do_update(index_elements=["digest"], set_=more), rows)


def forget(connection: Connection, digests: Iterable[bytes]) -> None:
    """Take messages off the count: they did no harm."""
    connection.execute(delete(attempts).where(attempts.c.digest.in_(set(digests))))
