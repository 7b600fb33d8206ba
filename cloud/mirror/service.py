"""Sends what was delivered to the mirror: at least once, beside everything else."""

import asyncio
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from cloud.config import Settings
from cloud.errors import RefusedError
from cloud.mirror import repository, samples
from cloud.mirror.lines import Sample, encode, posts
from cloud.mirror.server import NotMirroredError, Server
from protocols.failpoint import reach

TICK_S: Final = 2.0
# of up to 4,096 readings each: what is held in memory at once
GROUP: Final = 8
MOST_WAIT_S: Final = 60.0

_LAG = Gauge("hutong_mirror_lag_seconds", "Age of the oldest batch that is not yet mirrored.")
_QUEUED = Gauge("hutong_mirror_queued_batches", "Batches that are not yet mirrored.")
_LINES = Counter("hutong_mirror_lines", "Lines that the server took.")
_FAILURES = Counter("hutong_mirror_failures", "Attempts that the server did not take.")

log = structlog.get_logger("mirror")


@dataclass(frozen=True)
class Step:
    """What one step came to."""

    batches: int
    lines: int
    reason: str = ""


def server_of(settings: Settings) -> Server | None:
    """Return the server that is configured; RefusedError where its client is not installed."""
    if not settings.influx_url:
        return None
    try:
        # an extra: who mirrors nothing need not have it
        from cloud.mirror.influx_server import InfluxServer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = (
            "HUTONG_INFLUX_URL: needs influxdb-client: allowed after pip install hutong[mirror]"
        )
        raise RefusedError(message) from error
    return InfluxServer(
        settings.influx_url,
        token=settings.influx_token,
        org=settings.influx_org,
        bucket=settings.influx_bucket,
    )


class Mirror:
    """Any number of processes may send: a line that comes twice is the same point."""

    def __init__(self, engine: Engine, server: Server | None) -> None:
        self._engine = engine
        self._server = server
        self._failed = 0

    async def run(self) -> None:
        """Send for ever; without a server there is nothing to do."""
        if self._server is None:
            return
        while True:
            more = False
            try:
                step = await asyncio.to_thread(self.step)
                more = step.batches > 0 and not step.reason
            except DBAPIError as error:
                log.warning("step_failed", reason=str(error.orig))
            if not more:
                await asyncio.sleep(wait_s(self._failed))

    def step(self) -> Step:
        """Send the oldest batches that can go out; what the server did not take stays queued."""
        if self._server is None:
            return Step(0, 0)
        with self._engine.connect() as connection:
            reader = connection.execution_options(readonly=True)
            due = repository.due(reader, GROUP)
            made = samples.of_batches(reader, due)
        lines, reason = send(self._server, made)
        step = Step(len(due), lines, reason)
        if step.reason:
            self._failed += 1
            _FAILURES.inc()
            log.warning("not_mirrored", failed=self._failed, reason=step.reason)
            with self._engine.begin() as connection:
                repository.note_failure(connection, step.reason, _now_us())
        elif due:
            self._failed = 0
            reach("mirror.before_settle")
            with self._engine.begin() as connection:
                repository.settle(connection, due, lines=step.lines, now_us=_now_us())
        self._tell()
        return step

    def _tell(self) -> None:
        with self._engine.connect() as connection:
            status = repository.status(connection.execution_options(readonly=True))
        _LAG.set(lag_s(status, _now_us()))
        _QUEUED.set(status.queued)


def send(server: Server, made: Iterable[Sample]) -> tuple[int, str]:
    """Post samples; return how many lines the server took, and why it did not take the next."""
    sent = 0
    for body in posts(encode(made)):
        try:
            server.write(body)
        except NotMirroredError as error:
            return sent, str(error)
        lines = body.count(b"\n") + 1
        sent += lines
        _LINES.inc(lines)
    return sent, ""


def replay(engine: Engine, server: Server, start_us: int, end_us: int) -> int:
    """Send what the history holds in [start, end) again; return how many lines.

    RefusedError where the server does not take it: what was sent stays, and may be sent again.
    """
    sent = 0
    with engine.connect() as connection:
        channels = repository.every_channel(connection.execution_options(readonly=True))
    for channel in channels:
        # a transaction for each: none is open for as long as the server takes for all of them
        with engine.connect() as connection:
            reader = connection.execution_options(readonly=True)
            for made in samples.of_history(reader, channel, start_us, end_us):
                lines, reason = send(server, made)
                sent += lines
                if reason:
                    message = f"after {sent} lines the server did not take more: {reason}"
                    raise RefusedError(message)
    return sent


def lag_s(status: repository.Status, now_us: int) -> float:
    """Return for how long the oldest batch that can go out has been stored, in seconds."""
    return 0.0 if status.oldest_us is None else max(0.0, (now_us - status.oldest_us) / 1e6)


def wait_s(failed: int) -> float:
    """Return how long to wait after so many failures in a row: doubled each time, with jitter."""
    if not failed:
        return TICK_S
    most: float = min(MOST_WAIT_S, TICK_S * 2.0 ** min(failed, 10))
    return most * random.uniform(0.5, 1.0)  # noqa: S311 - spreads servers' load, keeps no secret


def _now_us() -> int:
    return time.time_ns() // 1000
