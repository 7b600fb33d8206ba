"""A PostgreSQL cluster of our own with the durability that it ships with."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fixtures.databases import _run, _server_user
from tests.fixtures.system_parts import free_port, postgres_programs

OPTIONS = "-c listen_addresses=127.0.0.1 -c unix_socket_directories=''"


@contextmanager
def cluster() -> Iterator[str]:
    """Give the URL of an empty database in a new cluster; `fsync` and autovacuum stay on."""
    programs = postgres_programs()
    # directly below the system's temporary folder: the server's user must reach it
    folder = Path(tempfile.mkdtemp(prefix="hutong-bench-postgres-"))
    port = free_port()
    try:
        user = _server_user(folder)
        data = folder / "data"
        _run([programs / "initdb", "-D", data, "-U", "hutong", "-A", "trust", "-N"], user)
        pg_ctl: list[str | Path] = [programs / "pg_ctl", "-D", data, "-w", "-t", "30"]
        _run([*pg_ctl, "-l", folder / "log", "-o", f"-p {port} {OPTIONS}", "start"], user)
        try:
            yield f"postgresql+psycopg://hutong@127.0.0.1:{port}/postgres"
        finally:
            _run([*pg_ctl, "-m", "fast", "stop"], user)
    finally:
        shutil.rmtree(folder)
