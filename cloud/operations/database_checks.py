"""Checks of the database: reachable, newest schema, whole; and what waits in it for somebody."""

import sqlite3
import time
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.exc import DBAPIError

from cloud.alerts.rules import gateway_silent
from cloud.billing.run_steps import Phase
from cloud.billing.run_tables import bill_runs, exceptions
from cloud.config import Settings
from cloud.database import opened, revision_of, revisions
from cloud.ingest import quarantine
from cloud.ingest.clock_repository import waiting_readings
from cloud.ingest.tables import batches, envelopes, lanes, outbox
from cloud.notify.outbox import State
from cloud.notify.tables import messages
from cloud.operations import copies
from cloud.operations.archive import BackupError
from cloud.operations.findings import Finding, failure, good, warning
from cloud.proofs.tables import checked_batches, signatures
from cloud.sites.tables import gateways
from protocols.delivery.records import instant

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
LATE_BATCHES: Final = 100
LATE_OUTBOX: Final = 1000
AHEAD_US: Final = 120_000_000


def check_database(settings: Settings) -> Iterator[Finding]:
    """Check the database, and what is in it if its schema is ours."""
    url = settings.database
    kind = copies.kind_of(url)
    if kind == copies.SQLITE and not copies.sqlite_file(url).exists():
        yield failure(
            "database",
            f"{copies.sqlite_file(url)}: there is none",
            "see HUTONG_DATA_DIR and HUTONG_DATABASE_URL; hutong-cloud migrate makes a new one",
        )
        return
    try:
        with opened(url) as engine, engine.connect() as connection:
            reader = connection.execution_options(readonly=True)
            schema = revision_of(reader)
            yield _schema(schema)
            if kind == copies.SQLITE:
                yield _whole(settings)
            if schema == revisions()[-1]:
                now_us = time.time_ns() // 1000
                yield from _clock(reader, now_us)
                yield from _gateways(reader, now_us)
                yield from _waiting(reader, now_us)
    except (DBAPIError, sqlite3.Error, BackupError) as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        yield failure(
            "database",
            f"cannot be used: {reason}",
            "see HUTONG_DATABASE_URL and that the server runs; a damaged file: restore a backup",
        )


def _schema(schema: str) -> Finding:
    known = revisions()
    if schema == known[-1]:
        return good("schema", f"{schema}, the newest")
    if schema in known or not schema:
        return warning(
            "schema",
            f"{schema or 'none'}: this program's is {known[-1]}",
            "hutong-cloud migrate, after a backup",
        )
    return failure(
        "schema",
        f"{schema} is newer than this program's {known[-1]}",
        "install the version of hutong-cloud that made it",
    )


def _whole(settings: Settings) -> Finding:
    file = copies.sqlite_file(settings.database)
    fault = copies.sqlite_fault(file, quick=True)
    if fault:
        return failure("database", f"{file}: damaged: {fault}", "restore the newest backup")
    return good("database", f"{file}: whole, every reference holds")


def _clock(reader: Connection, now_us: int) -> Iterator[Finding]:
    newest_us = reader.scalar(select(func.max(batches.c.received_us))) or 0
    if newest_us > now_us + AHEAD_US:
        yield failure(
            "clock",
            f"something was received at {instant(newest_us).isoformat()}, and now it is"
            f" {instant(now_us).isoformat()}: this machine's clock went back",
            "set the clock, and let chrony or systemd-timesyncd keep it",
        )
    else:
        yield good("clock", "nothing was received later than now")


def _gateways(reader: Connection, now_us: int) -> Iterator[Finding]:
    recent = envelopes.c.received_us > now_us - 7 * DAY_US
    same = (
        (envelopes.c.gateway_id == lanes.c.gateway_id)
        & (envelopes.c.lane == lanes.c.lane)
        & (envelopes.c.epoch == lanes.c.epoch)
    )
    query = select(lanes.c.gateway_id).join(envelopes, same).where(lanes.c.fenced, recent)
    fenced = set(reader.scalars(query))
    undated = waiting_readings(reader)
    for row in reader.execute(select(gateways).order_by(gateways.c.id)).all():
        check = f"gateway {row.id}"
        troubled = False
        if row.last_seen_us is None:
            troubled = True
            yield warning(check, "was never heard", "start it; see its broker account and its name")
        elif gateway_silent(row.last_seen_us, now_us):
            troubled = True
            yield failure(
                check,
                f"silent since {instant(row.last_seen_us).isoformat()}",
                "see its power and network; it keeps its readings and sends them later",
            )
        if row.id in fenced:
            troubled = True
            yield failure(
                check,
                "an epoch was fenced within 7 days: two machines may use one journal",
                "look for a copy of its disk; see docs/delivery.md",
            )
        if row.backlog > LATE_BATCHES:
            troubled = True
            yield warning(
                check, f"{row.backlog} batches behind", "wait; see its line and this load"
            )
        if count := undated.get(row.id):
            troubled = True
            yield warning(
                check,
                f"{count} readings have no believable time and are not billed yet",
                "let it reach a time server; they are dated by themselves",
            )
        if not troubled:
            yield good(check, f"heard at {instant(row.last_seen_us).isoformat()}")


def _waiting(reader: Connection, now_us: int) -> Iterator[Finding]:
    """Tell what waits for somebody, one finding each; one good one if nothing does."""
    told = [
        *_if(
            quarantine.items(reader, open_only=True, limit=1)[1],
            "quarantine",
            "batches could not be stored and wait for a decision",
            "hutong-cloud quarantine list, then replay or discard",
        ),
        *_if(
            _count(reader, select(func.count()).where(signatures.c.verified.is_(False)))
            + _count(reader, select(func.count()).where(checked_batches.c.good.is_(False))),
            "proofs",
            "signatures or batches are not what a gateway vouched for",
            "see docs/proofs.md; hutong-cloud gateway keys",
            bad=True,
        ),
        *_if(
            _count(reader, select(func.count()).select_from(outbox)),
            "outbox",
            "batches are stored, and alerts and bills have not looked at them",
            "see that hutong-cloud serve or work runs",
            most=LATE_OUTBOX,
        ),
        *_if(
            _count(
                reader,
                select(func.count()).where(
                    bill_runs.c.phase.in_([Phase.RATING, Phase.POSTING]),
                    bill_runs.c.started_us < now_us - HOUR_US,
                ),
            ),
            "bill runs",
            "runs were begun an hour ago or more and are not finished",
            "see that hutong-cloud serve or work runs; they go on where they were",
        ),
        *_if(
            _count(reader, select(func.count()).select_from(exceptions)),
            "held bills",
            "bills were held back",
            "see 出账批次: each tells its reason",
        ),
        *_if(
            _count(
                reader,
                select(func.count()).where(
                    messages.c.state == State.GIVEN_UP, messages.c.made_us > now_us - 30 * DAY_US
                ),
            ),
            "messages",
            "messages of the last 30 days were given up",
            "see 欠费: each tells its reason",
        ),
    ]
    yield from told or [good("waiting", "nothing waits for anybody")]


def _count(reader: Connection, query: Select[int]) -> int:
    return reader.scalar(query) or 0


def _if(
    count: int, check: str, means: str, todo: str, *, most: int = 0, bad: bool = False
) -> Iterator[Finding]:
    if count > most:
        make = failure if bad else warning
        yield make(check, f"{count} {means}", todo)
