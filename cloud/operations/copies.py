"""Copies of a database while it is written to, and their way back."""

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine, make_url, text

from cloud.database import opened
from cloud.operations.archive import BackupError

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
# where packages put the programs of one major version
_PLACES: Final = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin")
_VERSION: Final = re.compile(r"\(PostgreSQL\)\s+(\d+)")
_SCHEMA: Final = "public"
_PASSED: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")


def sqlite_file(url: str) -> Path:
    """Return the file of a SQLite URL; BackupError for one in memory."""
    name = make_url(url).database
    if not name or name == ":memory:":
        message = f"{url}: allowed is a file"
        raise BackupError(message)
    return Path(name)


def kind_of(url: str) -> str:
    """Return `sqlite` or `postgresql`."""
    return make_url(url).get_backend_name()


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite file as it is at one instant, while others write, and check the copy."""
    if not source.exists():
        message = f"{source}: there is no database to back up"
        raise BackupError(message)
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as reader,
            closing(sqlite3.connect(target)) as writer,
        ):
            # all pages at once: a snapshot of WAL, for which no writer waits
            reader.backup(writer, pages=-1)
            writer.execute("PRAGMA journal_mode=DELETE")
        fault = sqlite_fault(target)
    except sqlite3.Error as error:
        message = f"{target}: the database cannot be copied: {error}"
        raise BackupError(message) from error
    if fault:
        message = f"{source}: the copy is not whole: {fault}; see hutong-cloud doctor"
        raise BackupError(message)


def settle_sqlite(file: Path) -> None:
    """Bring all of a SQLite database into its one file; OperationalError while others use it."""
    with closing(sqlite3.connect(file, timeout=1)) as db:
        db.execute("PRAGMA journal_mode=DELETE")


def sqlite_fault(file: Path, *, quick: bool = False) -> str:
    """Return what is wrong with a SQLite file, empty if nothing is; sqlite3.Error."""
    check = "quick_check" if quick else "integrity_check"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as db:
        found = db.execute(f"PRAGMA {check}(1)").fetchone()[0]
        if found != "ok":
            return str(found)
        lost = db.execute("PRAGMA foreign_key_check").fetchone()
        return "" if lost is None else f"{lost[0]}: row {lost[1]} refers to no row of {lost[2]}"


def copy_postgres(url: str, target: Path) -> None:
    """Dump a PostgreSQL database as it is at one instant, by pg_dump of its major version."""
    with opened(url) as engine:
        major = _major_of(engine)
    program = postgres_program("pg_dump", major)
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--schema={_SCHEMA}"]
    _call([program, *options, f"--file={target}"], make_url(url))


def restore_postgres(url: str, dump: Path) -> None:
    """Bring a dump into the empty schema of a database, whole or not at all."""
    with opened(url) as engine:
        major = _major_of(engine)
    program = postgres_program("pg_restore", major)
    options = ["--no-owner", "--no-privileges", f"--schema={_SCHEMA}"]
    whole = ["--single-transaction", "--exit-on-error"]
    name = make_url(url).database or ""
    _call([program, *options, *whole, f"--dbname={name}", str(dump)], make_url(url))


def postgres_program(name: str, major: int) -> str:
    """Return the path of one of PostgreSQL's programs of a major version; BackupError."""
    folders = [place.format(major=major) for place in _PLACES]
    seen: list[str] = []
    for folder in (*folders, os.environ.get("PATH", "")):
        found = shutil.which(name, path=folder)
        if found is None:
            continue
        version = _version_of(found)
        if version == major:
            return found
        seen.append(f"{found} is of version {version}")
    told = f" ({'; '.join(seen)})" if seen else ""
    message = (
        f"{name}: of PostgreSQL {major}, as the server is, is neither in"
        f" {folders[0]} nor on PATH{told}: install postgresql-client-{major}"
    )
    raise BackupError(message)


def set_aside_postgres(engine: Engine, name: str) -> None:
    """Rename the schema of all that is there, and give an empty one in its place."""
    with engine.begin() as connection:
        connection.execute(text(f'ALTER SCHEMA {_SCHEMA} RENAME TO "{name}"'))
        connection.execute(text(f"CREATE SCHEMA {_SCHEMA}"))


def bring_back_postgres(engine: Engine, name: str) -> None:
    """Undo `set_aside_postgres`."""
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {_SCHEMA} CASCADE"))
        connection.execute(text(f'ALTER SCHEMA "{name}" RENAME TO {_SCHEMA}'))


def drop_postgres(engine: Engine, name: str) -> None:
    """Drop a schema that was set aside, and was empty."""
    with engine.begin() as connection:
        connection.execute(text(f'DROP SCHEMA "{name}"'))


def others_connected(engine: Engine) -> int:
    """Return how many other sessions use a PostgreSQL database."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    with engine.connect() as connection:
        return connection.scalar(query) or 0


def _major_of(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000


def _version_of(program: str) -> int:
    done = subprocess.run(  # noqa: S603  # a program that was looked up
        [program, "--version"], capture_output=True, text=True, check=False, timeout=20
    )
    found = _VERSION.search(done.stdout)
    return int(found[1]) if found else 0


def _call(command: Sequence[str], url: URL) -> None:
    # no word of the URL on a command line, which everybody on the machine can read
    place = {
        "PGHOST": url.host,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
        "PGDATABASE": url.database,
    }
    extra = {f"PG{key.upper()}": str(url.query[key]) for key in _PASSED if key in url.query}
    given = {key: value for key, value in (place | extra).items() if value}
    done = subprocess.run(  # noqa: S603  # a program that was looked up
        command,
        env={**os.environ, **given},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        message = f"{Path(command[0]).name}: {lines[0]}"
        raise BackupError(message)
