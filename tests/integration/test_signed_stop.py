"""A gateway that is stopped leaves nothing unsigned."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from edge.journal import Journal
from edge.signing import key_path
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.signature import from_body, is_signed_by, public_bytes
from protocols.io.key_file import open_key
from tests.fixtures.delivery import (
    reading,
)
from tests.fixtures.system_parts import free_port

EDGE = Path(sys.executable).with_name("hutong-edge")


def test_a_gateway_that_is_stopped_has_signed_all(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "gateway.yaml"
    bus = {"id": "b-1", "kind": "modbus-tcp", "host": "127.0.0.1", "port": port}
    device = {"id": "e-1", "bus": "b-1", "unit_id": 1, "profile": "eastron-sdm120"}
    file.write_text(yaml.safe_dump({"gateway": "gw-1", "buses": [bus], "devices": [device]}))
    journal = Journal(tmp_path / "gw-1.journal", "gw-1")
    # an open tail, as a power cut leaves it
    journal.append(LANE_READINGS, [reading(1)])
    journal.close()
    environment = {"HUTONG_DATA_DIR": str(tmp_path), "HUTONG_MQTT_URL": f"mqtt://127.0.0.1:{port}"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        running = subprocess.Popen(
            [EDGE, "run", "--config", file], env=environment, stdout=output, stderr=output
        )
        try:
            _wait_for(lambda: b"gateway_started" in log.read_bytes(), running)
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0, log.read_text()
        finally:
            running.kill()
            running.wait(10)
    journal = Journal(tmp_path / "gw-1.journal", "gw-1")
    public = public_bytes(open_key(key_path(tmp_path, "gw-1")))
    kinds: dict[int, list[str]] = {}
    made = []
    for seq in range(1, journal.status(LANE_EVENTS).next):
        body = journal.envelope(LANE_EVENTS, seq)
        assert body is not None
        events = batch.decode(envelope.unpack(body).payload).events
        kinds[seq] = [event.kind for event in events]
        made += [from_body(event.body) for event in events if event.kind == "sig"]
    newest = {item.lane: item for item in made}
    last = journal.status(LANE_READINGS).next - 1
    assert last >= 1
    assert newest[LANE_READINGS].seq == last
    assert newest[LANE_READINGS].hash == journal.hash_at(LANE_READINGS, last)
    stopped = next(seq for seq, told in kinds.items() if "gateway_stopped" in told)
    assert newest[LANE_EVENTS].seq >= stopped
    assert {kind for seq, told in kinds.items() for kind in told if seq > newest[0].seq} == {"sig"}
    assert all(is_signed_by(public, "gw-1", item) for item in made)
    journal.close()


def _wait_for(condition: Callable[[], bool], running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert running.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "it did not start"
        time.sleep(0.02)
