"""Works on a bill run with several processes that kill themselves at drawn statements.

Arguments: database URL, project, period, number, seed, workers. Prints how many were killed.
"""

import os
import random
import signal
import sys
from typing import Any

from sqlalchemy import event

from cloud.billing import runs
from cloud.billing.run_repository import RunKey
from cloud.database import open_engine

# a step has some sixty statements: about half of the processes die before their first one ends
MOST_STATEMENTS = 120
MOST_PROCESSES = 2_000


def work(url: str, key: RunKey, statements: int) -> None:
    """Finish the run, or die before a statement of that number."""
    engine = open_engine(url)
    left = statements

    def count(*_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own arguments
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", count)
    runs.finish(engine, key)


def drive(url: str, key: RunKey, *, seed: int, workers: int) -> int:
    """Keep workers going until one of them sees the run finished; return how many were killed."""
    chance = random.Random(seed)
    killed = started = 0
    alive: set[int] = set()
    finished = False
    while not finished or alive:
        while not finished and len(alive) < workers:
            if (started := started + 1) > MOST_PROCESSES:
                raise SystemExit("the run does not end")
            statements = chance.randint(1, MOST_STATEMENTS)
            child = os.fork()
            if child == 0:
                try:
                    work(url, key, statements)
                except BaseException as error:  # noqa: BLE001 - a child ends here, whatever happens
                    sys.stderr.write(f"{error!r}\n")
                    sys.stderr.flush()
                    os._exit(1)
                os._exit(0)
            alive.add(child)
        ended, status = os.wait()
        alive.discard(ended)
        if os.WIFSIGNALED(status):
            killed += 1
        elif os.waitstatus_to_exitcode(status):
            raise SystemExit("a worker failed")
        else:
            finished = True
    return killed


if __name__ == "__main__":
    url_, project, period, number, seed_, workers_ = sys.argv[1:]
    key_ = RunKey(project, period, int(number))
    sys.stdout.write(f"{drive(url_, key_, seed=int(seed_), workers=int(workers_))}\n")
