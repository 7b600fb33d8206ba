"""A PostgreSQL that is killed and paused under the cloud: nothing is lost, twice or stuck."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.catchup import start_ingest
from tests.e2e.chain_processes import Chain, Installation, last_month, wait_for
from tests.faults.mortal_postgres import MortalPostgres, mortal_postgres
from tests.faults.test_kills import DEVICES, check_all

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto, pytest.mark.postgres]

SEED = 11
# 25 were run once: HUTONG_DATABASE_KILLS=25
KILLS = int(os.environ.get("HUTONG_DATABASE_KILLS", "2"))
PAUSE_S = 20.0
COMMIT_S = 0.1
FEW_S = 1.0
MORE = 5


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[tuple[Chain, MortalPostgres]]:
    """Give a running chain with a whole cloud and an ingest worker beside it."""
    with mortal_postgres() as server:
        chain = Chain(
            tmp_path,
            Installation(database_url=server.url, devices=DEVICES, period_s=1, commit_s=COMMIT_S),
        )
        try:
            chain.broker.start()
            chain.start_site()
            chain.import_project(last_month())
            chain.start_cloud()
            # a program that finds no database at its start ends: somebody must start it again
            start_ingest(chain)
            chain.start_edge()
            wait_more(chain)
            yield chain, server
        finally:
            chain.close()


def wait_more(chain: Chain) -> None:
    """Wait until the cloud has stored more; the gateway may have to send it again."""
    wanted = chain.acknowledged() + MORE
    wait_for(lambda: chain.acknowledged() >= wanted, 60, "further deliveries", every_s=0.02)


def test_killed_and_paused(stored: tuple[Chain, MortalPostgres]) -> None:
    chain, server = stored
    rng = random.Random(SEED)
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.0, FEW_S))
        server.kill()
        time.sleep(rng.uniform(0.0, FEW_S))
        server.start()
        wait_more(chain)
    server.pause()
    before = chain.acknowledged()
    time.sleep(PAUSE_S)
    # what was on its way to the gateway when it was paused may still have come
    assert chain.acknowledged() - before <= MORE
    server.resume()
    wait_more(chain)
    # nobody had to start them again
    assert chain.is_alive("cloud")
    assert chain.is_alive("ingest")
    chain.wait_ready()
    check_all(chain)
