"""A PostgreSQL server of one test, which may kill or pause it with all its processes."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest

from tests.fixtures.databases import _run, _server_user
from tests.fixtures.system_parts import free_port, postgres_programs

START_S: Final = 60.0
# the durability that it ships with: what is committed must outlive its processes
OPTIONS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "40",
}


class MortalPostgres:
    """One cluster in its folder; `url` stays the same when it is killed and started again."""

    def __init__(self, folder: Path) -> None:
        programs = postgres_programs()
        user = _server_user(folder)
        data = folder / "data"
        self._port = free_port()
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        # the server refuses to run as root
        drop = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}"]
        options = [word for key, value in OPTIONS.items() for word in ("-c", f"{key}={value}")]
        self._command = [
            *drop,
            *([] if user is None else ["--init-groups"]),
            str(programs / "postgres"),
            *("-D", str(data), "-p", str(self._port)),
            *options,
        ]
        self.url = f"postgresql+psycopg://hutong@127.0.0.1:{self._port}/postgres"
        _run([programs / "initdb", "-D", data, "-U", "hutong", "-A", "trust", "-N"], user)

    def start(self) -> None:
        """Start the server and wait until it takes connections, recovery included."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._process = process
        deadline = time.monotonic() + START_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL was not started:\n{self._log.read_text('utf-8')[-4000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End every process of the server at once, as a power cut would; nothing if none runs."""
        if (process := self._process) is None:
            return
        # one that was started meanwhile would be overlooked, and keep the next server away
        process.send_signal(signal.SIGSTOP)
        children = _children(process.pid)
        for number in (process.pid, *children):
            os.kill(number, signal.SIGKILL)
        process.wait()
        self._process = None
        deadline = time.monotonic() + START_S
        while any(map(_is_running, children)):
            assert time.monotonic() < deadline, "a process of the server does not end"
            time.sleep(0.01)

    def pause(self) -> None:
        """Let every process of the server stand still."""
        assert self._process is not None
        # the first of them first: then it starts no more
        self._process.send_signal(signal.SIGSTOP)
        for number in _children(self._process.pid):
            os.kill(number, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        assert self._process is not None
        for number in (*_children(self._process.pid), self._process.pid):
            os.kill(number, signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def mortal_postgres() -> Iterator[MortalPostgres]:
    """Give a running server of our own."""
    # directly below the system's temporary folder: the server's user must reach it
    folder = Path(tempfile.mkdtemp(prefix="hutong-mortal-postgres-"))
    try:
        server = MortalPostgres(folder)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder)


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text("ascii")
    return [int(number) for number in found.split()]


def _is_running(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    # what nobody waits for stays as a zombie, and holds nothing any more
    return stat.rpartition(")")[2].split()[0] != "Z"
