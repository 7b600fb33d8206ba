"""A gateway behind a bad network, and a broker that dies, stalls or forgets: nothing is lost."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.io.mqtt import KEEPALIVE_S
from tests.e2e.chain_processes import Chain, Installation, last_month, wait_for
from tests.faults.fault_proxy import FaultProxy
from tests.faults.test_kills import DEVICES, check_all

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

SEED = 7
FEW_S = 2.5


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[Chain, FaultProxy]]:
    """Give a running chain whose gateway reaches the broker through a proxy."""
    chain = Chain(tmp_path, Installation(devices=DEVICES, period_s=1))
    proxy = FaultProxy(chain.broker.port, SEED)
    try:
        chain.broker.start()
        proxy.start()
        chain.extra["edge"] = {"HUTONG_MQTT_URL": f"mqtt://127.0.0.1:{proxy.port}"}
        chain.start_site()
        chain.import_project(last_month())
        chain.start_ingest()
        chain.start_edge()
        wait_for(lambda: chain.acknowledged() > 0, 30, "the first delivery")
        yield chain, proxy
    finally:
        chain.close()
        proxy.stop()


def _wait_more(chain: Chain, more: int = 2, within_s: float = 60.0) -> None:
    wanted = chain.acknowledged() + more
    wait_for(lambda: chain.acknowledged() >= wanted, within_s, "further deliveries")


def test_cut_delayed_and_spoilt_connections(proxied: tuple[Chain, FaultProxy]) -> None:
    chain, proxy = proxied
    rng = random.Random(SEED)
    for _ in range(6):
        proxy.behave(delay_s=rng.choice((0.0, 0.05, 0.3)), flip_every=rng.choice((0, 2000, 20_000)))
        time.sleep(rng.uniform(0.5, FEW_S))
        proxy.cut()
    assert proxy.passed > 0
    assert proxy.flipped > 0
    proxy.behave()
    _wait_more(chain)
    check_all(chain)


def test_a_half_open_connection_is_noticed(proxied: tuple[Chain, FaultProxy]) -> None:
    chain, proxy = proxied
    # a session that is being made is given up for other reasons
    _wait_more(chain)
    proxy.behave(silent=True)
    began = time.monotonic()
    log = chain.folder / "edge.log"
    seen = log.stat().st_size

    def noticed() -> bool:
        return b"broker_silent" in log.read_bytes()[seen:]

    wait_for(noticed, 1.5 * KEEPALIVE_S + 5, "the gateway noticing")
    assert time.monotonic() - began <= 1.5 * KEEPALIVE_S + 1
    proxy.behave()
    _wait_more(chain)
    check_all(chain)


def test_a_broker_that_is_killed_wiped_or_paused(proxied: tuple[Chain, FaultProxy]) -> None:
    chain, _ = proxied
    rng = random.Random(SEED)
    for _ in range(4):
        time.sleep(rng.uniform(0.2, FEW_S))
        # it keeps nothing on disk: killed is wiped
        chain.broker.kill()
        time.sleep(rng.uniform(0.0, 1.0))
        chain.broker.start()
    _wait_more(chain)
    for _ in range(2):
        os.kill(chain.broker.pid, signal.SIGSTOP)
        time.sleep(rng.uniform(0.5, FEW_S))
        os.kill(chain.broker.pid, signal.SIGCONT)
        _wait_more(chain)
    check_all(chain)
