"""Real processes killed at every named place: nothing is lost, twice, changed or stuck."""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cloud.database import open_engine
from tests.benchmarks.catchup import start_ingest
from tests.e2e.chain_processes import (
    Chain,
    Installation,
    Part,
    last_month,
    launch_program,
    wait_for,
)
from tests.e2e.delivered_history import check_batches, check_history
from tests.faults.served_values import check_served
from tests.faults.warm_programs import WarmPrograms
from tests.fixtures.databases import fresh_postgres

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

SEED = 20261122
# 1,000 were run once: HUTONG_KILLS=1000
KILLS = int(os.environ.get("HUTONG_KILLS", "50"))
COMMIT_S = 0.1
DIES_S = 30.0
DRAIN_S = 60.0
DEVICES = frozenset({"e-1-101", "e-1-102", "e-1-103", "e-1-201", "e-1-202", "e-1-203"})
PLACES: dict[str, Part] = {
    "journal.append": "edge",
    "journal.before_commit": "edge",
    "journal.committed": "edge",
    "uplink.before_send": "edge",
    "uplink.sent": "edge",
    "uplink.acknowledged": "edge",
    "uplink.released": "edge",
    "ingest.before_commit": "ingest",
    "ingest.committed": "ingest",
    "ingest.answered": "ingest",
}


@pytest.fixture(scope="module")
def programs() -> Iterator[WarmPrograms]:
    """Give programs that are imported already: a kill should not cost two seconds of imports."""
    made = WarmPrograms()
    yield made
    made.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def chain(
    request: pytest.FixtureRequest, programs: WarmPrograms, tmp_path: Path
) -> Iterator[Chain]:
    """Give a running site and broker; nothing else runs yet."""
    if request.param == "postgres":
        with fresh_postgres(request.getfixturevalue("postgres_url")) as url:
            yield from _installed(tmp_path, url, programs)
    else:
        yield from _installed(tmp_path, "", programs)


def _installed(folder: Path, url: str, programs: WarmPrograms) -> Iterator[Chain]:
    made = Chain(
        folder, Installation(database_url=url, devices=DEVICES, period_s=1, commit_s=COMMIT_S)
    )
    try:
        made.broker.start()
        made.start_site()
        made.import_project(last_month())
        made.launch = programs.launch
        yield made
    finally:
        made.close()


def test_killed_at_every_place(chain: Chain) -> None:
    rng = random.Random(SEED)
    killed: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(KILLS // 2):
        place = list(PLACES)[number % len(PLACES)]
        part = PLACES[place]
        keep_alive(chain, "ingest" if part == "edge" else "edge")
        start(chain, part, f"{place}:{rng.randrange(1, 4)}")
        wait_for(partial(_is_dead, chain, part), DIES_S, f"the kill at {place}", every_s=0.005)
        killed[place] += 1
    took_s = time.monotonic() - began
    sys.stdout.write(f"{sum(killed.values())} kills in {took_s:.0f} s: {dict(killed)}\n")
    # the last start is one of the installed programs, as it is
    chain.launch = launch_program
    for part in ("edge", "ingest"):
        start(chain, part)
    check_all(chain)


def keep_alive(chain: Chain, part: Part) -> None:
    """Start a part if it was killed, and wait until an ingest worker is there to be told."""
    if chain.is_alive(part):
        return
    chain.extra[part] = {}
    if part == "edge":
        chain.start_edge()
    else:
        start_ingest(chain)


def start(chain: Chain, part: Part, failpoint: str = "") -> None:
    """Start a part anew, with the place where it will die or without."""
    chain.extra[part] = {"HUTONG_FAILPOINT": failpoint}
    if chain.is_alive(part):
        chain.kill(part)
    if part == "edge":
        chain.start_edge()
    else:
        chain.start_ingest()


def check_all(chain: Chain) -> None:
    """Everything drains, and the cloud holds what the gateway committed, as the meters had it."""
    drain(chain)
    engine: Engine = open_engine(chain.database_url)
    with chain.journal() as journal:
        check_batches(engine, journal)
    check_history(engine)
    assert check_served(engine) > 0
    engine.dispose()


def _is_dead(chain: Chain, part: Part) -> bool:
    return not chain.is_alive(part)


def drain(chain: Chain) -> None:
    """Stop the gateway at a moment when the cloud has acknowledged all it has."""
    deadline = time.monotonic() + DRAIN_S
    while True:
        wait_for(lambda: chain.backlog() == 0, DRAIN_S, "the rest of the journal", every_s=0.01)
        chain.kill("edge")
        if chain.backlog() == 0:
            return
        assert time.monotonic() < deadline, "something is stuck"
        chain.start_edge()
