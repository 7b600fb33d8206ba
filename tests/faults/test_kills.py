"""Real processes killed at every named place: nothing is lost, twice, changed or stuck."""

import os
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cloud.database import open_engine
from tests.e2e.chain_processes import Chain, Installation, Part, last_month, wait_for
from tests.e2e.delivered_history import check_batches, check_history
from tests.faults.served_values import check_served
from tests.fixtures.databases import fresh_postgres

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

SEED = 20261122
# 1,000 were run once: HUTONG_KILLS=1000
KILLS = int(os.environ.get("HUTONG_KILLS", "50"))
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


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chain]:
    """Give a running site, broker, gateway and one ingest worker."""
    if request.param == "postgres":
        with fresh_postgres(request.getfixturevalue("postgres_url")) as url:
            yield from _running(tmp_path, url)
    else:
        yield from _running(tmp_path, "")


def _running(folder: Path, url: str) -> Iterator[Chain]:
    made = Chain(folder, Installation(database_url=url, devices=DEVICES, period_s=1))
    try:
        made.broker.start()
        made.start_site()
        made.import_project(last_month())
        made.start_ingest()
        made.start_edge()
        yield made
    finally:
        made.close()


def test_killed_at_every_place(chain: Chain) -> None:
    rng = random.Random(SEED)
    for number in range(KILLS // 2):
        place = list(PLACES)[number % len(PLACES)]
        part = PLACES[place]
        other: Part = "ingest" if part == "edge" else "edge"
        if not chain.is_alive(other):
            start(chain, other)
        start(chain, part, f"{place}:{rng.randrange(1, 4)}")
        wait_for(partial(_is_dead, chain, part), DIES_S, f"the kill at {place}")
    for part in ("edge", "ingest"):
        start(chain, part)
    check_all(chain)


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
