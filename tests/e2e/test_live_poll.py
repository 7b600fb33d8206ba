"""Live polls arrive at once, and a meter or gateway that falls silent is told of once."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from cloud.alerts import service
from cloud.alerts.rules import GATEWAY_SILENT_S, GRACE_S, SILENT_PERIODS
from cloud.alerts.tables import alerts
from cloud.database import open_engine
from cloud.sites.tables import gateways
from tests.e2e.chain_processes import GATEWAY, Chain, Installation, last_month, wait_for
from tests.e2e.recomputed_bills import Meters, counts

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

# one of each profile, on both buses
DEVICES = frozenset({"e-1-101", "e-1-102", "e-1-201", "e-1-202", "w-1-101"})
MUTE = "e-1-102"
PERIOD_S = 2
ARRIVES_S = 10.0
MUTE_FROM_S, MUTE_FOR_S = 16, SILENT_PERIODS + GRACE_S + 10
SLACK_US = 2_000_000
POINTS = {"electricity": "energy_import", "water": "total_positive"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Give a running chain of a few devices; one of them will fall silent for a while."""
    installation = Installation(
        devices=DEVICES,
        period_s=PERIOD_S,
        timeout_ms=300,
        silent_period_s=1,
        faults=(f"{MUTE}=silent@{MUTE_FROM_S},{MUTE_FOR_S}",),
    )
    chain = Chain(tmp_path_factory.mktemp("live"), installation)
    try:
        chain.broker.start()
        chain.import_project(last_month())
        chain.start_cloud()
        chain.start_site()
        yield chain
    finally:
        chain.close()


def test_live_poll(chain: Chain) -> None:
    meters = Meters()
    printed = chain.read("--json")
    assert {line["device"] for line in printed} == DEVICES
    billed = [line for line in printed if line["point"] in POINTS.values()]
    assert len(billed) == len(DEVICES)
    for line in billed:
        _check_words(line, meters)
    chain.start_edge()
    with chain.client() as client:
        for device in sorted(DEVICES - {MUTE}):
            _check_arrival(client, device)


def test_one_alert_for_a_silent_meter_and_one_for_a_dead_gateway(chain: Chain) -> None:
    with chain.client() as client:
        raised = wait_for(
            lambda: _alerts(client, "device_offline"),
            MUTE_FROM_S + SILENT_PERIODS + GRACE_S + 30,
            "the alert of the silent meter",
        )
        wait_for(
            lambda: _alerts(client, "device_offline")[0]["cleared_at"],
            MUTE_FOR_S + 30,
            "its end",
        )
        (alert,) = _alerts(client, "device_offline")
        assert (alert["device"], alert["id"]) == (MUTE, raised[0]["id"])
        assert alert["cleared_at"] > alert["raised_at"]
        assert _alerts(client, "gateway_offline") == []
    chain.kill("edge")
    engine = open_engine(chain.database_url)
    try:
        with engine.connect() as connection:
            seen_us = connection.scalar(
                select(gateways.c.last_seen_us).where(gateways.c.id == GATEWAY)
            )
            assert seen_us is not None
            before = set(connection.scalars(select(alerts.c.id)))
            # so much later, in a transaction that never happened
            for later_s in (GATEWAY_SILENT_S - 1, GATEWAY_SILENT_S + 1, GATEWAY_SILENT_S + 60):
                service.watch_silence(connection, seen_us + later_s * 1_000_000)
                found = connection.execute(select(alerts).where(alerts.c.id.not_in(before))).all()
                causes = [(row.kind, row.gateway_id, row.device_id) for row in found]
                late = later_s > GATEWAY_SILENT_S
                assert causes == ([("gateway_offline", GATEWAY, None)] if late else [])
            service.watch_silence(connection, seen_us + 1)
            (row,) = connection.execute(select(alerts).where(alerts.c.id.not_in(before))).all()
            assert row.cleared_us == seen_us + 1
            connection.rollback()
    finally:
        engine.dispose()


def _check_words(line: dict[str, str], meters: Meters) -> None:
    """Compare words that came over a wire with what the meter showed around then."""
    at_us = int(datetime.fromisoformat(line["read_at"]).timestamp() * 1e6)
    device, point, profile = line["device"], line["point"], meters.profile(line["device"])
    low, high = (
        counts(profile, meters.words(device, point, at_us + by)) for by in (-SLACK_US, SLACK_US)
    )
    read = counts(profile, line["words"])
    assert low <= read <= high, line
    if low == high:
        assert line["words"] == meters.words(device, point, at_us)
    exponent = {"xintai-water": 3}.get(profile, 2)
    assert line["value"] == f"{read / 10**exponent:.{exponent}f}"
    assert line["quality"] == "good"


def _check_arrival(client: httpx.Client, device: str) -> None:
    """Wait for two readings one after the other, each seen soon after its aligned poll."""
    seen: set[str] = set()
    for _ in range(2):

        def fresh() -> str | None:
            items = client.get("/api/v1/channels", params={"limit": 500}).json()["items"]
            found = {
                item["device"]: item["read_at"]
                for item in items
                if item["point"] in POINTS.values() and item["read_at"]
            }
            read_at: str | None = found.get(device)
            return None if read_at in seen else read_at

        read_at = wait_for(fresh, ARRIVES_S, f"a live reading of {device}")
        poll_s = datetime.fromisoformat(read_at).timestamp() // PERIOD_S * PERIOD_S
        assert 0 <= time.time() - poll_s < ARRIVES_S
        seen.add(read_at)


def _alerts(client: httpx.Client, kind: str) -> list[dict[str, Any]]:
    items = client.get("/api/v1/alerts", params={"limit": 500}).json()["items"]
    return [item for item in items if item["kind"] == kind]
