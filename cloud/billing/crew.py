"""Processes that work on a bill run beside this one, as the cores allow."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Engine

from cloud.billing.run_repository import RunKey
from cloud.database import opened

MOST_PROCESSES: Final = 4
# fewer shards are done before another process has started
SHARDS_FOR_EACH: Final = 20

Work = Callable[[Engine, RunKey], None]


@contextmanager
def crew(engine: Engine, key: RunKey, *, shards: int, work: Work) -> Iterator[None]:
    """Let others do `work` on a run, too, until they find nothing to do; who dies is not missed.

    `work` can be pickled: each process opens the database for itself.
    """
    many = min(os.cpu_count() or 1, MOST_PROCESSES, shards // SHARDS_FOR_EACH) - 1
    spawn = multiprocessing.get_context("spawn")
    url = engine.url.render_as_string(hide_password=False)
    others = [spawn.Process(target=_work, args=(url, key, work), daemon=True) for _ in range(many)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.join()


def _work(url: str, key: RunKey, work: Work) -> None:
    with opened(url) as engine:
        work(engine, key)
