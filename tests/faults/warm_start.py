"""A program that is imported once and forked for each start: `python -m tests.faults.warm_start`.

Each line of standard input is one job; the answers are its process id, then its exit code.
"""

import ctypes
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

PR_SET_PDEATHSIG: Final = 1


class Job(msgspec.Struct, frozen=True):
    """One start: arguments, the whole environment, and where its output goes."""

    arguments: list[str]
    environment: dict[str, str]
    log: str


def main(module: str, *more: str) -> None:
    """Fork `module.main` for each job; one runs at a time."""
    for name in more:
        importlib.import_module(name)
    entry = importlib.import_module(module).main
    while line := sys.stdin.buffer.readline():
        job = msgspec.json.decode(line, type=Job)
        child = os.fork()
        if not child:
            _become(job)
            entry()
            return
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _become(job: Job) -> None:
    # whoever ends the parent must not leave a gateway behind
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    sys.argv = job.arguments
    os.environ.clear()
    os.environ.update(job.environment)
    # it read the environment when it was imported
    importlib.reload(sys.modules["protocols.failpoint"])


def _say(number: int) -> None:
    os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main(*sys.argv[1:])
