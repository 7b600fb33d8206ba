"""A gateway whose clock jumps by years both ways: every reading ends at its true time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cloud.database import open_engine
from cloud.ingest.clock_repository import waiting
from edge.clock import AGREED_US
from tests.e2e.chain_processes import Chain, Installation, last_month, wait_for
from tests.e2e.delivered_history import check_batches
from tests.faults.served_values import check_served
from tests.faults.test_kills import DEVICES, drain
from tests.fixtures.system_parts import missing

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
JUMPS = ("-5y", "+3y", "-1d", "+0")
MORE = 4


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """Give a running chain whose gateway gets its wall time from a file."""
    made = Chain(tmp_path, Installation(devices=DEVICES, period_s=1))
    set_clock(made, "+0")
    made.extra["edge"] = {
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": str(made.folder / "faketime"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "HUTONG_TRUST_CLOCK": "false",
    }
    try:
        made.broker.start()
        made.start_site()
        made.import_project(last_month())
        made.start_ingest()
        made.start_edge()
        yield made
    finally:
        made.close()


def library() -> str:
    """The library that gives a process another wall time."""
    root = Path("/")
    found = [path for place in LIBRARIES for path in root.glob(place[1:])]
    return str(found[0]) if found else missing("faketime", "libfaketime is not installed")


def set_clock(chain: Chain, offset: str) -> None:
    """Let the gateway's wall time be off by so much from now on."""
    (chain.folder / "faketime").write_text(offset, encoding="ascii")


def test_jumps_of_years_both_ways(chain: Chain) -> None:
    wait_for(lambda: chain.acknowledged() > MORE, 30, "the first deliveries")
    for offset in JUMPS:
        set_clock(chain, offset)
        wanted = chain.acknowledged() + MORE
        _wait_acknowledged(chain, wanted, f"deliveries at {offset}")
    drain(chain)
    engine: Engine = open_engine(chain.database_url)
    with chain.journal() as journal:
        check_batches(engine, journal)
    with engine.begin() as connection:
        assert waiting(connection) == {}, "readings wait for a date although the cloud knows it"
    # dated by the cloud's answers, each as late as its way was long
    assert check_served(engine, error_us=AGREED_US) > len(DEVICES) * MORE
    engine.dispose()


def _wait_acknowledged(chain: Chain, wanted: int, what: str) -> None:
    wait_for(lambda: chain.acknowledged() >= wanted, 60, what)
