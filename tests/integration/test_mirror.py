"""The mirror against a real VictoriaMetrics: all of it, once, whoever is killed on the way."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from cloud import auth
from cloud.app import create_app
from cloud.cli import app
from cloud.config import Settings
from cloud.ingest.service import Incoming
from cloud.mirror import repository, service
from cloud.mirror.server import Server
from cloud.mirror.service import MOST_WAIT_S, Mirror, lag_s, wait_s
from cloud.sites.tables import devices, users
from cloud.work import Worker
from edge.journal import Journal
from protocols.delivery import envelope, messages
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Quality
from tests.fixtures.delivery import (
    MINUTE_US,
    NOW_US,
    START_US,
    OpenJournal,
    add_site,
    deliver,
    packed,
    reading,
)
from tests.fixtures.victoria import Points, VictoriaMetrics
from tests.integration.test_clocks import fix, undated

with warnings.catch_warnings():
    # it would rather have another client library than the one that is locked
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

DAY_US = 86_400_000_000
HOUR = 60
BATCHES = 24
NAME = ("energy_value", "e-1", "energy_import")


def sealed(journal: Journal, batches: int = BATCHES) -> list[Incoming]:
    """An hour of readings in each batch."""
    for number in range(batches):
        rows = [reading(minute) for minute in range(number * HOUR, (number + 1) * HOUR)]
        journal.append(LANE_READINGS, rows, seal_at_us=START_US + number)
    return [packed(journal, seq) for seq in range(1, batches + 1)]


def work(engine: Engine) -> None:
    """One round of what takes batches out of the outbox."""
    Worker(engine, Settings(auto_bill=False, influx_url="http://127.0.0.1")).step()


def status(engine: Engine) -> repository.Status:
    with engine.connect() as connection:
        return repository.status(connection.execution_options(readonly=True))


def wanted(minutes: Sequence[int] = range(BATCHES * HOUR), *, late_us: int = 0) -> Points:
    """What the server must hold of these readings: each once."""
    at_ms = {minute: (START_US + minute * MINUTE_US + late_us) // 1000 for minute in minutes}
    return {NAME: {at_ms[minute]: [(1000 + minute) / 100] for minute in minutes}}


def drained(engine: Engine, mirror: Mirror) -> None:
    while (step := mirror.step()).batches:
        assert not step.reason
    assert status(engine).queued == 0


@pytest.fixture
def delivered(engine: Engine, open_journal: OpenJournal) -> Engine:
    """A day of readings, delivered and taken out of the outbox."""
    add_site(engine, "gw-1")
    deliver(engine, sealed(open_journal()))
    work(engine)
    return engine


def test_every_reading_is_mirrored_once(delivered: Engine, victoria: VictoriaMetrics) -> None:
    drained(delivered, Mirror(delivered, victoria.server()))
    assert victoria.points() == wanted()
    told = status(delivered)
    assert (told.batches, told.lines, told.failures) == (BATCHES, BATCHES * HOUR, 0)


def test_a_server_that_is_down_delays_nothing_and_loses_nothing(
    engine: Engine, victoria: VictoriaMetrics, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    group = sealed(open_journal())
    mirror = Mirror(engine, victoria.server())
    deliver(engine, group[:8])
    work(engine)
    drained(engine, mirror)
    # it forgets what it took in its last seconds
    victoria.kill()
    outcome = deliver(engine, group[8:])
    answers = [answer for _, answer in outcome.answers]
    assert [type(answer) for answer in answers] == [messages.Ack]
    work(engine)
    assert "Error" in mirror.step().reason
    told = status(engine)
    assert (told.queued, told.failures) == (BATCHES, 1)
    assert "Error" in told.reason
    assert lag_s(told, NOW_US + 90_000_000) == 90
    victoria.start()
    drained(engine, mirror)
    assert victoria.points() == wanted()
    assert (status(engine).reason, status(engine).oldest_us) == ("", None)


def test_what_was_sent_long_ago_is_not_sent_again(
    delivered: Engine, victoria: VictoriaMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror(delivered, victoria.server())
    drained(delivered, mirror)
    monkeypatch.setattr(repository, "GRACE_US", -1)
    with delivered.begin() as connection:
        repository.settle(connection, [], lines=0, now_us=time.time_ns() // 1000)
        repository.note_failure(connection, "down", 1)
    assert status(delivered).queued == 0


def test_a_mirror_killed_after_it_sent_sends_again(
    delivered: Engine, victoria: VictoriaMetrics
) -> None:
    url = delivered.url.render_as_string(hide_password=False)
    program = (
        "import sys\n"
        "from pydantic import SecretStr\n"
        "from cloud.database import open_engine\n"
        "from cloud.mirror.influx_server import InfluxServer\n"
        "from cloud.mirror.service import Mirror\n"
        "server = InfluxServer(sys.argv[2], token=SecretStr('t'), org='o', bucket='b')\n"
        "mirror = Mirror(open_engine(sys.argv[1]), server)\n"
        "while mirror.step().batches: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, url, victoria.url],
        env=os.environ | {"HUTONG_FAILPOINT": "mirror.before_settle:2"},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    # what was sent last is not noted
    assert status(delivered).batches == service.GROUP
    assert len(victoria.points()[NAME]) == 2 * service.GROUP * HOUR
    drained(delivered, Mirror(delivered, victoria.server()))
    assert victoria.points() == wanted()


def test_what_a_killed_server_forgot_is_replayed(
    delivered: Engine, victoria: VictoriaMetrics
) -> None:
    drained(delivered, Mirror(delivered, victoria.server()))
    # what it took in its last second is in its memory alone
    victoria.kill()
    victoria.start()
    for _ in range(2):
        lines = service.replay(delivered, victoria.server(), START_US, START_US + DAY_US)
        assert lines == BATCHES * HOUR
    assert victoria.points() == wanted()


def test_a_replay_is_of_the_span_that_is_asked_for(
    delivered: Engine, victoria: VictoriaMetrics
) -> None:
    start_us, end_us = START_US + 90 * MINUTE_US, START_US + 300 * MINUTE_US
    assert service.replay(delivered, victoria.server(), start_us, end_us) == 210
    assert victoria.points() == wanted(range(90, 300))


def test_readings_go_out_when_they_have_a_time(
    engine: Engine, victoria: VictoriaMetrics, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    rows = [undated(0), reading(1), reading(2, quality=int(Quality.MISSING), count=None)]
    journal.append(LANE_READINGS, rows, seal_at_us=1)
    deliver(engine, [packed(journal, 1)])
    work(engine)
    mirror = Mirror(engine, victoria.server())
    drained(engine, mirror)
    assert victoria.points() == wanted([1])
    told = status(engine)
    assert (told.undated, told.queued, mirror.step().batches) == (1, 0, 0)
    journal.append(LANE_EVENTS, [fix(0, late_us=500_000)], seal_at_us=2)
    deliver(engine, [packed(journal, 1, LANE_EVENTS)])
    assert status(engine).queued == 1
    work(engine)
    drained(engine, mirror)
    assert status(engine).undated == 0
    late = wanted([0], late_us=500_000)[NAME]
    assert victoria.points() == {NAME: late | wanted([1])[NAME]}


def test_the_device_of_another_gateway_is_not_mirrored(
    engine: Engine, victoria: VictoriaMetrics, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1", "gw-2")
    with engine.begin() as connection:
        row = {"id": "e-2", "project_id": "p-1", "gateway_id": "gw-2", "name": "e", "name_en": "e"}
        more = {"medium": "electricity", "profile": "p", "period_s": 60}
        connection.execute(devices.insert().values(**row, **more))
    journal = open_journal()
    journal.append(LANE_READINGS, [reading(0), reading(0, "e-2")], seal_at_us=1)
    deliver(engine, [packed(journal, 1)])
    work(engine)
    drained(engine, Mirror(engine, victoria.server()))
    assert victoria.points() == wanted([0])


def test_poison_does_not_stop_the_mirror(
    engine: Engine, victoria: VictoriaMetrics, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    first, second = sealed(open_journal(), 2)
    held = envelope.unpack(first.payload)
    place = {"epoch": held.epoch, "seq": 1, "batch_id": held.batch_id}
    broken = envelope.seal(
        b"nonsense", gateway="gw-1", lane=1, prev_hash=held.prev_hash, root=held.root, **place
    )
    deliver(engine, [Incoming(first.topic, envelope.pack(broken))])
    work(engine)
    deliver(engine, [second])
    work(engine)
    drained(engine, Mirror(engine, victoria.server()))
    assert victoria.points().get(NAME, {}).keys() <= wanted(range(60, 120))[NAME].keys()
    assert status(engine).queued == 0


def test_without_a_server_nothing_is_queued(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    deliver(engine, sealed(open_journal(), 1))
    Worker(engine, Settings(auto_bill=False)).step()
    assert status(engine) == repository.Status(0, 0, None)
    assert Mirror(engine, None).step() == service.Step(0, 0)


def test_it_waits_longer_after_each_failure_and_never_for_ever() -> None:
    assert wait_s(0) == service.TICK_S
    for failed in range(1, 40):
        most = min(MOST_WAIT_S, service.TICK_S * 2**failed)
        assert most / 2 <= wait_s(failed) <= most


def test_a_status_of_refusal_is_told(delivered: Engine, victoria: VictoriaMetrics) -> None:
    server = service.server_of(Settings(influx_url=f"{victoria.url}/nowhere"))
    step = Mirror(delivered, server).step()
    assert step.reason.startswith("status 4")
    assert status(delivered).queued == BATCHES
    assert httpx.get(f"{victoria.url}/health", timeout=5).is_success


def test_the_commands_tell_and_replay(
    delivered: Engine, victoria: VictoriaMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = delivered.url.render_as_string(hide_password=False)
    monkeypatch.setenv("HUTONG_DATABASE_URL", url.replace("+psycopg", ""))

    def run(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["mirror", *words])
        return done.exit_code, done.output, str(done.exception)

    assert "HUTONG_INFLUX_URL" in run("replay", "--from", "2026-07-01")[2]
    monkeypatch.setenv("HUTONG_INFLUX_URL", victoria.url)
    first = ("replay", "--from", "2026-07-01")
    assert run(*first) == (0, f"{BATCHES * HOUR} lines sent\n", "None")
    assert run("replay", "--from", "2026-07-02", "--json") == (0, '{"lines": 0}\n', "None")
    assert "--from: 'June'" in run("replay", "--from", "June")[2]
    assert "--to: 2026-06-30: allowed" in run(*first, "--to", "2026-06-30")[2]
    assert victoria.points() == wanted()
    told = json.loads(run("status", "--json")[1])
    assert (told["on"], told["queued"], told["lines"]) == (True, BATCHES, 0)
    assert told["lag_s"] > 0
    assert f"queued: {BATCHES}" in run("status")[1]
    victoria.kill()
    assert "after 0 lines the server did not take more" in run(*first)[2]


def test_the_api_and_the_metrics_tell_how_it_fares(
    delivered: Engine, victoria: VictoriaMetrics
) -> None:
    service_app = create_app(Settings(influx_url=victoria.url), delivered)
    service_app.state.mirror.step()
    row = {"project_id": "p-1", "name": "x", "password_hash": auth.hash_password("a long word")}
    with delivered.begin() as connection:
        for role in ("manager", "resident"):
            connection.execute(users.insert().values(**row, username=role, role=role))
    # without the context nothing of it runs by itself
    client = TestClient(service_app)
    assert client.get("/api/v1/mirror").status_code == 401
    client.headers["authorization"] = f"Bearer {auth.log_in(delivered, 'resident', 'a long word')}"
    assert client.get("/api/v1/mirror").status_code == 403
    client.headers["authorization"] = f"Bearer {auth.log_in(delivered, 'manager', 'a long word')}"
    told = client.get("/api/v1/mirror").json()
    assert (told["on"], told["queued"], told["failures"]) == (True, BATCHES - service.GROUP, 0)
    assert told["lines"] == service.GROUP * HOUR
    metrics = client.get("/metrics").text
    assert f"hutong_mirror_queued_batches {float(BATCHES - service.GROUP)}" in metrics
    assert "hutong_mirror_lag_seconds" in metrics


class Told(Mirror):
    """A mirror that says when there is nothing left."""

    def __init__(self, engine: Engine, server: Server) -> None:
        super().__init__(engine, server)
        self.idle = threading.Event()

    def step(self) -> service.Step:
        done = super().step()
        if not done.batches:
            self.idle.set()
        return done


async def test_it_runs_by_itself(delivered: Engine, victoria: VictoriaMetrics) -> None:
    mirror = Told(delivered, victoria.server())
    task = asyncio.create_task(mirror.run())
    assert await asyncio.to_thread(mirror.idle.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert victoria.points() == wanted()


class Hanging:
    """A server that takes a connection and does not answer until it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answer = threading.Event()

    def write(self, body: bytes) -> None:
        assert body
        self.asked.set()
        assert self.answer.wait(30)


def test_a_server_that_hangs_holds_no_lock(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    group = sealed(open_journal())
    deliver(engine, group[:4])
    work(engine)
    hanging = Hanging()
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(Mirror(engine, hanging).step)
        assert hanging.asked.wait(30)
        # a lock held meanwhile would let this run into the database's time limit
        answers = [answer for _, answer in deliver(engine, group[4:]).answers]
        assert [type(answer) for answer in answers] == [messages.Ack]
        work(engine)
        assert not step.done()
        hanging.answer.set()
        assert step.result(30).batches == 4
    assert status(engine).queued == BATCHES - 4
