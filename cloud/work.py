"""What the service does by itself: alerts from the outbox and the clock, bills when due."""

import asyncio
import time
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from cloud.alerts import service as alerts
from cloud.billing import repository as billing
from cloud.billing import run_steps, runs
from cloud.billing.tariff_book import tariffs_of
from cloud.commands import service as commands
from cloud.config import Settings
from cloud.errors import RefusedError
from cloud.ingest import repository as ingest
from cloud.ledger import arrears
from cloud.ledger.service import Teller
from cloud.metering import repository as meters
from cloud.metering import service as metering
from cloud.mirror import repository as mirror
from cloud.payments import asking
from cloud.payments.merchants import Channels
from cloud.proofs import service as proofs
from cloud.sites.tables import projects
from protocols.delivery.records import instant

TICK_S = 5.0
LATE_S = 3 * 86_400
SAMPLE_S = 60

log = structlog.get_logger("work")


class Worker:
    """Runs in one process at a time; every step is a transaction that can be repeated."""

    def __init__(
        self, engine: Engine, settings: Settings, channels: Channels | None = None
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._channels = channels or {}
        self._wake = asyncio.Event()
        self._sampled_us = 0
        self._charged: dict[str, date] = {}

    def wake(self) -> None:
        """Say that something was stored."""
        self._wake.set()

    async def run(self) -> None:
        """Work for ever: at once when something was stored, and by the clock."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._work(), name="work.steps")
            if self._channels:
                # beside the rest: a channel that is slow delays no alert
                tasks.create_task(self._ask_channels(), name="work.payments")

    async def _work(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await asyncio.to_thread(self.step)
            except DBAPIError as error:
                # what was not committed is done again at the next tick
                log.warning("step_failed", reason=str(error.orig))
                await asyncio.sleep(1)
            except RefusedError as error:
                # somebody was faster: a bill run was begun by hand meanwhile
                log.info("step_refused", reason=str(error))

    async def _ask_channels(self) -> None:
        while True:
            try:
                await asyncio.to_thread(asking.step, self._engine, self._channels)
            except DBAPIError as error:
                log.warning("payments_step_failed", reason=str(error.orig))
            await asyncio.sleep(asking.TICK_S)

    def step(self) -> None:
        """Do what is due now."""
        now_us = time.time_ns() // 1000
        first, more = self._settings.trust_first_key, True
        hand_on = mirror.hand_over if self._settings.influx_url else None
        while more:
            with self._engine.begin() as connection:
                taken = alerts.consume_outbox(connection, trust_first_key=first, hand_on=hand_on)
                more = taken > 0
        with self._engine.begin() as connection:
            alerts.watch_silence(connection, now_us)
            alerts.watch_nights(connection, now_us)
            proofs.judge(connection, now_us)
            commands.give_up(connection, now_us)
        if now_us - self._sampled_us >= SAMPLE_S * 1_000_000:
            self._sampled_us = now_us
            with self._engine.begin() as connection:
                proofs.sample(connection, now_us)
        if self._settings.auto_bill:
            self._charge_lateness(now_us)
        self._bill(now_us)

    def _bill(self, now_us: int) -> None:
        own = self._settings.tariffs
        try:
            tariffs_of(own)
        except RefusedError as error:
            # nothing is billed by prices that somebody is about to correct
            log.error("tariffs_refused", reason=str(error))
            return
        if self._settings.auto_bill:
            with self._engine.connect() as connection:
                reader = connection.execution_options(readonly=True)
                due = due_runs(reader, now_us)
            for project, period in due:
                allow = self._settings.allow_unverified_tariffs
                runs.run(self._engine, project, period, allow_unverified=allow, own_tariffs=own)
        with self._engine.connect() as connection:
            begun = runs.unfinished(connection.execution_options(readonly=True))
        for held in begun:
            # what somebody else began waits to be looked at before it is posted
            if held.started_by == runs.ENTERED_BY:
                runs.finish(self._engine, held.key, own_tariffs=own)
            else:
                run_steps.advance(self._engine, held.key, own_tariffs=own)

    def _charge_lateness(self, now_us: int) -> None:
        # once a local day, where a contract has terms for it
        with self._engine.connect() as connection:
            days = arrears.days_of_lateness(connection.execution_options(readonly=True), now_us)
        for project, today in days.items():
            if self._charged.get(project) != today:
                with self._engine.begin() as connection:
                    teller = Teller(project, arrears.ENTERED_BY, now_us)
                    done = arrears.charge_all(connection, teller)
                self._charged[project] = today
                log.info("lateness_charged", project=project, **vars(done))


def due_runs(connection: Connection, now_us: int) -> list[tuple[str, str]]:
    """Return projects and their last month, where it is over, delivered and nobody bills it yet.

    Delivered means that every meter has a read after the month's end. When the reads of the
    others are three days past it, the month is run anyhow and what is missing is held. While a
    batch between those that came is on its way, it is waited for, three days at most.
    """
    due: list[tuple[str, str]] = []
    for project, zone_name in connection.execute(select(projects.c.id, projects.c.time_zone)):
        zone = ZoneInfo(zone_name)
        today = instant(now_us).astimezone(zone).date()
        period = f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
        span = metering.month(period, zone)
        begun = billing.first_cutover(connection, project)
        if begun is None or begun > span.from_on:
            continue
        newest = meters.newest_reads_us(connection, project)
        if not newest or runs.is_begun(connection, project, period):
            continue
        # batches are stored in whatever order they come: newer reads may overtake the month's end
        waiting_us = ingest.waiting_since_us(connection, project)
        if waiting_us is not None and now_us - waiting_us < LATE_S * 1_000_000:
            continue
        if min(newest) >= span.end_us or max(newest) >= span.end_us + LATE_S * 1_000_000:
            due.append((project, period))
    return due
