"""Starts of our programs that cost a fork each: a kill is soon followed by the next."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.faults.warm_start import Job

# what each program imports when it is started, and what only when it runs
MODULES: Final = {
    "hutong-edge": ("edge.cli", "uvloop"),
    "hutong-cloud": ("cloud.cli", "psycopg", "sqlalchemy.dialects.postgresql.psycopg", "sqlite3"),
}
IMPORTED_S: Final = 30.0


class WarmPrograms:
    """One imported process for each module; each start is a child of it, with a life of its own."""

    def __init__(self) -> None:
        self._parents: dict[str, subprocess.Popen[bytes]] = {}

    def launch(self, command: Sequence[str], environment: dict[str, str], log: Path) -> "WarmRun":
        """Start a program; its output is added to `log`."""
        parent = self.parent(*MODULES[Path(command[0]).name])
        return WarmRun(parent, Job([*command], environment, str(log)))

    def parent(self, module: str, *more: str) -> subprocess.Popen[bytes]:
        """Return the process whose children run `module.main`."""
        if module not in self._parents:
            self._parents[module] = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.warm_start", module, *more],
                # a fork takes only one thread with it
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        return self._parents[module]

    def close(self) -> None:
        """End the parents, and what still runs with them."""
        for parent in self._parents.values():
            parent.kill()
            parent.communicate()


class WarmRun:
    """One run; of `subprocess.Popen` what a chain uses."""

    def __init__(self, parent: subprocess.Popen[bytes], job: Job) -> None:
        self.returncode: int | None = None
        self._parent = parent
        self._read = b""
        assert parent.stdin is not None
        parent.stdin.write(msgspec.json.encode(job) + b"\n")
        parent.stdin.flush()
        answer = self._line(IMPORTED_S)
        assert answer is not None, f"{job.arguments[0]} was not started"
        self.pid = answer

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.returncode is None:
            self.returncode = self._line(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; TimeoutExpired if it runs on."""
        if self.returncode is None:
            self.returncode = self._line(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send_signal(signal.SIGKILL)

    def _line(self, timeout_s: float | None) -> int | None:
        assert self._parent.stdout is not None
        number = self._parent.stdout.fileno()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._read:
            rest_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([number], [], [], rest_s)[0]:
                return None
            more = os.read(number, 64)
            assert more, "the warm program ended"
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return int(line)
