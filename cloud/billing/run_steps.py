"""Steps of a bill run: each is one transaction that works out or posts one shard of accounts."""

import math
import os
import time
from bisect import bisect_right
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from cloud.billing import posting, repository, run_repository
from cloud.billing.crew import crew
from cloud.billing.drafts import Draft, Drafted
from cloud.billing.drawing import Drawing, Drawn
from cloud.billing.run_repository import Run, RunKey, Shard
from cloud.billing.tariff_book import TariffBook
from cloud.sites.zones import zone_of

log = structlog.get_logger("billing")

_WAIT_S: Final = 0.05
# shares of pools stand behind everything else of their shard
_SHARES_FROM: Final = 1_000_000_000


class Phase(StrEnum):
    """Where a run stands."""

    RATING = "rating"
    DRAFTED = "drafted"
    POSTING = "posting"
    FINISHED = "finished"


class Step(StrEnum):
    """What came of one step."""

    DONE = "done"
    OTHERS = "others are at work on what is left"
    NOTHING = "nothing is to be done"


def advance(engine: Engine, key: RunKey, *, own_tariffs: Path | None = None) -> None:
    """Do what is to be done of a run, with other processes where it is much."""
    with engine.connect().execution_options(readonly=True) as connection:
        waiting = run_repository.shards_done(connection, key)
    # in a file bills are worked out by many, and posted by one
    shards = waiting[""] if engine.dialect.name == "sqlite" else waiting.total()
    work = partial(advance_alone, own_tariffs=own_tariffs)
    with crew(engine, key, shards=shards, work=work):
        work(engine, key)


def advance_alone(
    engine: Engine,
    key: RunKey,
    *,
    within_s: float = math.inf,
    own_tariffs: Path | None = None,
) -> None:
    """Do what is to be done of a run, and wait for others who are at it, for so long."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        done = step(engine, key, own_tariffs=own_tariffs)
        if done is Step.NOTHING:
            return
        if done is Step.OTHERS:
            time.sleep(_WAIT_S)


def step(engine: Engine, key: RunKey, *, own_tariffs: Path | None = None) -> Step:
    """Do one step of a run in a transaction of its own."""
    if engine.dialect.name == "sqlite" and (done := _step_apart(engine, key, own_tariffs)):
        return done
    with engine.begin() as connection:
        held = run_repository.required_run(connection, key)
        before = {Phase.RATING: "", Phase.POSTING: Phase.RATING}.get(Phase(held.phase))
        if before is None:
            return Step.NOTHING
        shard = run_repository.claim(connection, key, done=before)
        if shard is not None:
            _work(connection, held, shard, own_tariffs)
            return Step.DONE
        if run_repository.is_any(connection, key, done=before):
            return Step.OTHERS
        # the last of them ends the phase, once
        if run_repository.required_run(connection, key, lock=True).phase != held.phase:
            return Step.DONE
        _end_phase(connection, held, own_tariffs)
        return Step.DONE


def _step_apart(engine: Engine, key: RunKey, own_tariffs: Path | None) -> Step | None:
    # a file has one writer at a time: bills are worked out by all, beside who writes
    try:
        with engine.connect().execution_options(readonly=True) as connection:
            held = run_repository.required_run(connection, key)
            if held.phase != Phase.RATING:
                return None
            shard = run_repository.one_of_many(connection, key, done="", place=os.getpid())
            if shard is None:
                return None
            drawing = _drawing(connection, held, own_tariffs)
            drawn = drawing.accounts(shard.accounts, held.first, held.period)
            # verdicts on reads, if new ones were due
            connection.commit()
    except OperationalError:
        # they were, and somebody wrote meanwhile: work it out as the only one who writes
        return None
    with engine.begin() as connection:
        if run_repository.has_done(connection, key, shard.shard) == "":
            _keep(connection, held, shard, drawing, drawn)
    return Step.DONE


def _work(connection: Connection, run: Run, shard: Shard, own_tariffs: Path | None) -> None:
    if run.phase == Phase.POSTING:
        posting.post_shard(connection, run, shard)
        run_repository.change_shard(connection, run.key, shard.shard, done=Phase.POSTING)
        return
    drawing = _drawing(connection, run, own_tariffs)
    _keep(connection, run, shard, drawing, drawing.accounts(shard.accounts, run.first, run.period))


def _keep(connection: Connection, run: Run, shard: Shard, drawing: Drawing, drawn: Drawn) -> None:
    repository.save_tariffs(connection, drawing.book.used)
    run_repository.save_drafts(connection, run.key, shard.shard, drawn.drafts)
    if run.number == 1:
        run_repository.save_uses(connection, run.key, shard.shard, drawn.uses)
    run_repository.save_held(connection, run.project_id, drawn.held, account_ids=shard.accounts)
    run_repository.change_shard(connection, run.key, shard.shard, done=Phase.RATING)


def _end_phase(connection: Connection, run: Run, own_tariffs: Path | None) -> None:
    if run.phase == Phase.POSTING:
        run_repository.drop_drafts(connection, run.key)
        run_repository.drop_shards(connection, run.key)
        finished_us = time.time_ns() // 1000
        run_repository.change_run(
            connection, run.key, phase=Phase.FINISHED, finished_us=finished_us
        )
        log.info("bills_posted", project=run.project_id, period=run.period, bills=run.bills)
        return
    if run.number == 1:
        _share_pools(connection, run, own_tariffs)
    counts = run_repository.counts(connection, run.key)
    billed = [found for (_, kind), found in counts.items() if kind == "bill"]
    credited = [found for (_, kind), found in counts.items() if kind == "credit"]
    run_repository.change_run(
        connection,
        run.key,
        phase=Phase.DRAFTED,
        bills=sum(count for count, _ in billed),
        credits=sum(count for count, _ in credited),
        total_fen=sum(fen for _, fen in billed) - sum(fen for _, fen in credited),
        held=run_repository.count_held(connection, run.project_id, run.first, run.period),
    )


def _share_pools(connection: Connection, run: Run, own_tariffs: Path | None) -> None:
    drawing = _drawing(connection, run, own_tariffs)
    drawn = drawing.pools(run.period, lambda: run_repository.uses_of(connection, run.key))
    repository.save_tariffs(connection, drawing.book.used)
    run_repository.save_held(connection, run.project_id, drawn.held)
    shards = run_repository.shards_of(connection, run.key)
    firsts = [shard.accounts[0] for shard in shards]
    by_shard: dict[int, list[Drafted]] = {}
    for each in drawn.drafts:
        # sheets have a shard of their own, behind those of the accounts
        place = (
            bisect_right(firsts, each.account_id) - 1 if isinstance(each, Draft) else len(shards)
        )
        by_shard.setdefault(place, []).append(each)
    if len(shards) in by_shard:
        run_repository.add_shard(connection, run.key, len(shards), done=Phase.RATING)
    for place, some in by_shard.items():
        run_repository.save_drafts(connection, run.key, place, some, first=_SHARES_FROM)


def _drawing(connection: Connection, run: Run, own_tariffs: Path | None) -> Drawing:
    book = TariffBook.of(own_tariffs, allow_unverified=run.allow_unverified)
    zone = zone_of(connection, run.project_id)
    return Drawing(connection, book, run.project_id, zone)
