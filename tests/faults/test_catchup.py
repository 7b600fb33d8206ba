"""An outage is made up for by real processes that are killed meanwhile; what is live goes first."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, func, select

from cloud.database import open_engine
from cloud.ingest.tables import envelopes, lanes, outbox
from protocols.delivery.envelope import LANE_READINGS
from tests.benchmarks.catchup import fill, start_gateway, start_ingest
from tests.e2e.chain_processes import Chain, Installation, Part, last_month, wait_for
from tests.e2e.delivered_history import check_batches, check_history

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

READINGS = 30_000
BATCHES = 600
NEWS = 5
DIES_S = 30.0
DRAIN_S = 60.0


@dataclass(frozen=True)
class MadeUp:
    """An outage that was made up for through two kills; nothing runs any more.

    `news` are the places of what the second session sealed before the last start of the cloud.
    """

    chain: Chain
    engine: Engine
    news: range


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeUp]:
    """Give what is left when the uplink and then the ingest were killed in the drain."""
    chain = Chain(tmp_path_factory.mktemp("catchup"), Installation())
    try:
        chain.broker.start()
        chain.import_project(last_month())
        assert fill(chain.journal_file, READINGS, devices=READINGS // BATCHES // 2) == BATCHES
        engine = open_engine(chain.database_url)
        news = _make_up(chain, engine)
        yield MadeUp(chain, engine, news)
        engine.dispose()
    finally:
        chain.close()


def _make_up(chain: Chain, engine: Engine) -> range:
    start_ingest(chain)
    _start(chain, "edge", "uplink.acknowledged:2")
    _wait_dead(chain, "edge")
    assert 0 < _through(engine) < BATCHES
    chain.kill("ingest")
    session = _next(chain)
    _start(chain, "ingest", "ingest.committed:3")
    _start(chain, "edge", "")
    _wait_dead(chain, "ingest")
    assert _through(engine) < BATCHES
    # so the news of the second session waits, and the backlog with it
    wait_for(lambda: _next(chain) >= session + NEWS, DIES_S, "news of the second session")
    news = range(session, _next(chain))
    assert chain.is_alive("edge")
    _start(chain, "ingest", "")
    _drain(chain)
    return news


def test_everything_is_stored_once(made_up: MadeUp) -> None:
    with made_up.chain.journal() as journal:
        check_batches(made_up.engine, journal)
        query = "SELECT next - 1 FROM lanes WHERE lane = ?"
        (last,) = journal.execute(query, (LANE_READINGS,)).fetchone()
    assert _through(made_up.engine) == last
    check_history(made_up.engine)


def test_news_is_stored_before_the_backlog_is_drained(made_up: MadeUp) -> None:
    assert _behind(made_up) > 0


def test_news_does_not_wait_for_the_backlog(made_up: MadeUp) -> None:
    assert _behind(made_up) >= BATCHES // 4


def _behind(made_up: MadeUp) -> int:
    """Count the batches of the backlog that were stored after all of the news."""
    stored = _order(made_up.engine)
    served = max(stored[seq] for seq in made_up.news)
    return sum(stored[seq] > served for seq in range(1, BATCHES + 1))


def _start(chain: Chain, part: Part, failpoint: str) -> None:
    chain.extra[part] = {"HUTONG_FAILPOINT": failpoint}
    if part == "edge":
        start_gateway(chain)
    else:
        start_ingest(chain)


def _wait_dead(chain: Chain, part: Part) -> None:
    """Wait until a part was killed at its failpoint, which only a drain reaches."""
    wait_for(lambda: not chain.is_alive(part), DIES_S, f"the kill of {part}", every_s=0.01)


def _drain(chain: Chain) -> None:
    """Stop the gateway at a moment when the cloud has acknowledged all it has."""
    for _ in range(10):
        wait_for(lambda: chain.backlog() == 0, DRAIN_S, "the rest of the journal", every_s=0.01)
        chain.kill("edge")
        if chain.backlog() == 0:
            return
        _start(chain, "edge", "")
    pytest.fail("something is stuck")


def _next(chain: Chain) -> int:
    with chain.journal() as journal:
        query = "SELECT next FROM lanes WHERE lane = ?"
        return int(journal.execute(query, (LANE_READINGS,)).fetchone()[0])


def _through(engine: Engine) -> int:
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        query = select(func.max(lanes.c.through)).where(lanes.c.lane == LANE_READINGS)
        return reader.scalar(query) or 0


def _order(engine: Engine) -> dict[int, int]:
    """Place in the chain to place in the outbox, which nobody empties here: the order stored."""
    with engine.connect() as connection:
        query = (
            select(envelopes.c.seq, outbox.c.id)
            .join(outbox, outbox.c.batch_id == envelopes.c.batch_id)
            .where(envelopes.c.lane == LANE_READINGS)
        )
        return {row.seq: row.id for row in connection.execute(query)}
