"""One engine for SQLite and PostgreSQL, its migrations, and what their SQL does not share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    MetaData,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite fills only a column of type INTEGER by itself
Identity = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def open_engine(url: str) -> Engine:
    """Return an engine; a SQLite file is opened in WAL mode with writers taking turns."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": 30})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up or down to a revision by the numbered migrations."""
    with engine.connect() as connection:
        # SQLite changes a column by a table of that name made anew, which others may refer to
        lax = connection.dialect.name == "sqlite"
        if lax:
            _sqlite_pragma(connection, "foreign_keys=OFF")
        try:
            _migrate(connection, revision)
            if lax and (lost := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
                message = f"{lost[0]}: row {lost[1]} would refer to no row of {lost[2]}"
                raise IntegrityError(message, None, ValueError(message))
            connection.commit()
        finally:
            connection.rollback()
            if lax:
                _sqlite_pragma(connection, "foreign_keys=ON")


def revisions() -> list[str]:
    """Return the revisions that this program knows, oldest first."""
    script = ScriptDirectory.from_config(_config())
    return [found.revision for found in script.walk_revisions()][::-1]


def revision_of(connection: Connection) -> str:
    """Return the revision of a database's schema, empty if it has none."""
    return MigrationContext.configure(connection).get_current_revision() or ""


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Give an engine as `open_engine` does, and leave no connection open behind it."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def migrated(url: str) -> Iterator[Engine]:
    """Give an engine as `opened` does, of the newest schema."""
    with opened(url) as engine:
        migrate(engine)
        yield engine


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    newer: str | None = None,
) -> None:
    """Insert rows or replace those with the same primary key, where `newer` grows if named."""
    if not rows:
        return
    maker = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = maker(table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    where = None if newer is None else statement.excluded[newer] >= table.c[newer]
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=changed, where=where), rows
    )


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, leaving those alone that are there already."""
    if rows:
        maker = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(maker(table).on_conflict_do_nothing(), rows)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _migrate(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    goes_down = revision == "base"
    if revision not in ("head", "base"):
        known, held = revisions(), revision_of(connection)
        goes_down = held in known and known.index(revision) < known.index(held)
    (command.downgrade if goes_down else command.upgrade)(config, revision)


def _sqlite_pragma(connection: Connection, pragma: str) -> None:
    # not by SQLAlchemy: within a transaction it would do nothing
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  # it is open
    driver.execute(f"PRAGMA {pragma}")


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # the driver must not begin transactions by itself: _begin_immediate does
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # a reader says so by an execution option and then never waits for the writer
    reading = connection.get_execution_options().get("readonly", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
