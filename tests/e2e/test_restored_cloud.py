"""A cloud that is lost and restored from a backup of a running one: nothing is missing or twice."""

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, create_engine, select, text

from cloud.database import opened
from cloud.ingest.tables import envelopes, generations, lanes
from tests.e2e.chain_processes import GATEWAY, Chain, Installation, last_month, wait_for
from tests.e2e.delivered_history import check_batches, check_history, wait_looked_at
from tests.fixtures.databases import fresh_postgres
from tests.fixtures.system_parts import postgres_programs

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

SETTLED_S = 90.0


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chain]:
    if request.param == "sqlite":
        made = Chain(tmp_path)
        yield made
        made.close()
        return
    with fresh_postgres(request.getfixturevalue("postgres_url")) as url:
        made = Chain(tmp_path, Installation(database_url=url))
        yield made
        made.close()


def test_a_restored_cloud_has_everything_once(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{postgres_programs()}{os.pathsep}{os.environ['PATH']}")
    chain.start_site()
    chain.broker.start()
    chain.import_project(last_month())
    chain.backfill(last_month())
    chain.start_cloud()
    chain.start_edge()
    # in the middle of the stream
    wait_for(lambda: chain.acknowledged() > 20, SETTLED_S, "some batches")
    assert chain.backlog() > 0
    archive = chain.folder / "kept.tar"
    told = json.loads(chain._call("hutong-cloud", "backup", str(archive), "--json"))
    assert told["size"] == archive.stat().st_size
    with chain.client() as client:
        bills = _billed(client)
    wait_for(lambda: chain.backlog() == 0, SETTLED_S, "the rest of the journal")
    chain.kill("cloud")
    _wipe(chain)
    restored = json.loads(chain._call("hutong-cloud", "restore", str(archive), "--json"))
    assert restored["generations"] == {GATEWAY: 2}
    assert restored["set_aside"] == ""
    with opened(chain.database_url) as engine, engine.connect() as connection:
        held = connection.execution_options(readonly=True).scalars(select(lanes.c.through)).all()
    # what came after the backup is not in it
    assert sum(held) < chain.acknowledged()
    chain.start_cloud()
    with chain.client() as client:
        again = _billed(client)
        chain.stop("site")
        _drain(chain, sum(held))
    assert again == bills
    with opened(chain.database_url) as engine:
        wait_looked_at(engine, SETTLED_S)
        chain.kill("cloud")
        with chain.journal() as journal:
            check_batches(engine, journal)
        check_history(engine)
        check_chains(engine)
        with engine.connect() as connection:
            reader = connection.execution_options(readonly=True)
            assert reader.scalar(select(generations.c.generation)) == 2


def check_chains(engine: Engine) -> None:
    """Each lane's envelopes are one gapless chain up to its watermark, and none is fenced."""
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        for lane in reader.execute(select(lanes)).all():
            assert not lane.fenced
            query = (
                select(envelopes)
                .where(envelopes.c.lane == lane.lane, envelopes.c.epoch == lane.epoch)
                .order_by(envelopes.c.seq)
            )
            found = [row for row in reader.execute(query) if row.seq <= lane.through]
            assert [row.seq for row in found] == list(range(1, lane.through + 1))
            assert all(b.prev_hash == a.hash for a, b in pairwise(found))
            assert not found or found[-1].hash == lane.hash_through


def _wipe(chain: Chain) -> None:
    if chain.installation.database_url:
        engine = create_engine(chain.database_url)
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()
        return
    for file in chain.folder.glob("hutong.db*"):
        file.unlink()


def _drain(chain: Chain, restored: int) -> None:
    """Wait until the cloud has all of the journal, and end the gateway while that is so."""
    for _ in range(5):
        wait_for(lambda: chain.backlog() == 0, SETTLED_S, "the rest of the journal")
        # a clean stop would sign once more
        chain.kill("edge")
        if chain.backlog() == 0 and chain.acknowledged() > restored:
            return
        chain.start_edge()
    pytest.fail("the gateway never came to rest")


def _billed(client: httpx.Client) -> dict[str, dict[str, Any]]:
    query: dict[str, str | int] = {"period": f"{last_month():%Y-%m}", "limit": 500}

    def posted() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.get("/api/v1/bills", params=query).json()["items"]
        return found

    items = wait_for(posted, SETTLED_S, "the bills of last month")
    found = {}
    for item in items:
        bill = client.get(f"/api/v1/bills/{item['id']}").json()
        found[bill["id"]] = {key: value for key, value in bill.items() if key != "posted_at"}
    return found
