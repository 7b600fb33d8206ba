"""Bill runs: worked out and posted shard by shard, by any number of workers, killed anywhere.

A run is worked out (rating), may be looked at (drafted), is posted (posting) and then stands
(finished). Each step is one transaction that claims one shard of the accounts by its row lock:
whoever dies gives it back, whoever comes goes on.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine

from cloud.billing import posting, repository, run_repository
from cloud.billing.cycles import days_of
from cloud.billing.drafts import Draft, Drafted, Held
from cloud.billing.drawing import Drawing, Drawn, periods_of
from cloud.billing.run_repository import Run, RunKey
from cloud.billing.run_steps import Phase, advance
from cloud.billing.tariff_book import TariffBook
from cloud.errors import RefusedError
from cloud.ledger import repository as accounts
from cloud.sites.zones import zone_of

ENTERED_BY: Final = "bill run"
ACCOUNTS_AT_ONCE: Final = 200


@dataclass(frozen=True)
class Preview:
    """What a run would post."""

    period: str
    drafts: tuple[Drafted, ...]
    held: tuple[Held, ...]

    @property
    def bills(self) -> int:
        """Return how many bills there would be."""
        return sum(isinstance(each, Draft) for each in self.drafts)

    @property
    def total_fen(self) -> int:
        """Return the sum of all bills."""
        return sum(each.total_fen for each in self.drafts if isinstance(each, Draft))


def run(
    engine: Engine,
    project_id: str,
    period: str,
    *,
    allow_unverified: bool = False,
    by: str = ENTERED_BY,
    own_tariffs: Path | None = None,
) -> Run:
    """Post a period's bills, once; a run that was begun goes on, one that ended stays.

    `own_tariffs` is a folder beside the built-in ones, here and wherever a run is worked out.
    """
    with engine.begin() as connection:
        begun = start(connection, project_id, period, allow_unverified=allow_unverified, by=by)
    return finish(engine, begun.key, own_tariffs=own_tariffs)


def revise(
    engine: Engine,
    project_id: str,
    first: str,
    *,
    reason: str,
    by: str,
    allow_unverified: bool = False,
    own_tariffs: Path | None = None,
) -> Run:
    """Bill a period and all after it again: what comes out otherwise is taken back 冲红."""
    with engine.begin() as connection:
        begun = start_again(
            connection,
            project_id,
            first,
            reason=reason,
            by=by,
            allow_unverified=allow_unverified,
        )
    return finish(engine, begun.key, own_tariffs=own_tariffs)


def finish(engine: Engine, key: RunKey, *, own_tariffs: Path | None = None) -> Run:
    """Work on a run until it stands, and post it if it waits to be looked at."""
    advance(engine, key, own_tariffs=own_tariffs)
    with engine.begin() as connection:
        if run_repository.required_run(connection, key, lock=True).phase == Phase.DRAFTED:
            post(connection, key)
    advance(engine, key, own_tariffs=own_tariffs)
    with engine.connect() as connection:
        return run_repository.required_run(connection.execution_options(readonly=True), key)


def start(
    connection: Connection, project_id: str, period: str, *, allow_unverified: bool, by: str
) -> Run:
    """Begin to bill a period, or return the run that did."""
    zone_of(connection, project_id)
    repository.lock_project(connection, project_id)
    key = RunKey(project_id, period, 1)
    held = run_repository.run_of(connection, key)
    if held is not None:
        return held
    accounts.open_accounts(connection, project_id, days_of(period).from_on)
    return _begin(connection, key, period, allow_unverified=allow_unverified, by=by, reason="")


def start_again(
    connection: Connection,
    project_id: str,
    first: str,
    *,
    reason: str,
    by: str,
    allow_unverified: bool,
) -> Run:
    """Begin to bill a period again, and all after it: later tiers and true-ups stand on it.

    RefusedError where it was not billed, or a reason lacks.
    """
    zone_of(connection, project_id)
    repository.lock_project(connection, project_id)
    if not reason.strip():
        message = "reason: allowed is a text that says why bills are taken back"
        raise RefusedError(message)
    runs = run_repository.runs_of(connection, project_id)
    billed = {each.period for each in runs if each.number == 1 and each.phase == Phase.FINISHED}
    last = max(billed, default="")
    if missing := [each for each in periods_of(first, last or first) if each not in billed]:
        message = f"period {missing[0]}: allowed are periods that were billed"
        raise RefusedError(message)
    number = 1 + max(each.number for each in runs if each.period == last)
    key = RunKey(project_id, last, number)
    return _begin(
        connection, key, first, allow_unverified=allow_unverified, by=by, reason=reason.strip()
    )


def unfinished(connection: Connection) -> list[Run]:
    """Return the runs that wait for nobody: all but those that somebody is to look at."""
    phases = (Phase.RATING, Phase.DRAFTED, Phase.POSTING)
    return [
        each
        for each in run_repository.unfinished(connection, phases)
        if each.phase != Phase.DRAFTED or each.started_by == ENTERED_BY
    ]


def is_begun(connection: Connection, project_id: str, period: str) -> bool:
    """Say whether a period was billed, is being billed, or must wait for another run to end."""
    return any(
        each.period == period or each.phase != Phase.FINISHED
        for each in run_repository.runs_of(connection, project_id)
    )


def post(connection: Connection, key: RunKey) -> Run:
    """Let a run that is drafted be posted; each shard gets its numbers 号码, without gaps."""
    held = run_repository.required_run(connection, key, lock=True)
    if held.phase != Phase.DRAFTED:
        message = f"the run of {key.period} is {held.phase}: allowed is one that is drafted"
        raise RefusedError(message)
    counts = run_repository.counts(connection, key)
    shards = run_repository.shards_of(connection, key)
    for column, kind, document in (
        ("first_bill", "bill", posting.BILL),
        ("first_credit", "credit", posting.CREDIT_NOTE),
    ):
        many = [counts.get((shard.shard, kind), (0, 0))[0] for shard in shards]
        number = accounts.next_numbers(connection, key.project_id, document, count=sum(many))
        for shard, count in zip(shards, many, strict=True):
            run_repository.change_shard(connection, key, shard.shard, **{column: number})
            number += count
    posted_us = time.time_ns() // 1000
    run_repository.change_run(connection, key, phase=Phase.POSTING, posted_us=posted_us)
    return run_repository.required_run(connection, key)


def discard(connection: Connection, key: RunKey) -> None:
    """Forget a run that posted nothing yet; RefusedError for others."""
    held = run_repository.required_run(connection, key, lock=True)
    if held.phase not in (Phase.RATING, Phase.DRAFTED):
        message = f"the run of {key.period} is {held.phase}: what is posted stays"
        raise RefusedError(message)
    run_repository.drop_drafts(connection, key)
    run_repository.drop_shards(connection, key)
    if key.number == 1:
        run_repository.drop_held(connection, key.project_id, key.period)
    run_repository.drop_run(connection, key)


def draft(
    connection: Connection,
    project_id: str,
    period: str,
    *,
    allow_unverified: bool = False,
    own_tariffs: Path | None = None,
) -> Preview:
    """Work out a period's bills without keeping or posting them (a dry run)."""
    zone = zone_of(connection, project_id)
    book = TariffBook.of(own_tariffs, allow_unverified=allow_unverified)
    drawing = Drawing(connection, book, project_id, zone)
    accounts.open_accounts(connection, project_id, days_of(period).from_on)
    drawn = Drawn()
    for names in _shards(connection, project_id, period, period):
        some = drawing.accounts(names, period, period)
        drawn.drafts += some.drafts
        drawn.uses |= some.uses
        drawn.held.setdefault(period, []).extend(some.held[period])
    pools = drawing.pools(period, lambda: drawn.uses)
    held = [*drawn.held.get(period, ()), *pools.held.get(period, ())]
    return Preview(period, (*drawn.drafts, *pools.drafts), tuple(held))


def _begin(
    connection: Connection,
    key: RunKey,
    first: str,
    *,
    allow_unverified: bool,
    by: str,
    reason: str,
) -> Run:
    for other in run_repository.runs_of(connection, key.project_id):
        if other.phase != Phase.FINISHED:
            message = f"the run of {other.period} is {other.phase}: let it end first"
            raise RefusedError(message)
    made = Run(
        key.project_id,
        key.period,
        key.number,
        first=first,
        phase=Phase.RATING,
        allow_unverified=allow_unverified,
        started_by=by,
        reason=reason,
        started_us=time.time_ns() // 1000,
    )
    shards = _shards(connection, key.project_id, first, key.period)
    run_repository.add_run(connection, made, shards)
    return made


def _shards(connection: Connection, project_id: str, first: str, last: str) -> list[Sequence[str]]:
    days = days_of(first)._replace(to_on=days_of(last).to_on)
    names = repository.account_ids(connection, project_id, days)
    return [names[at : at + ACCOUNTS_AT_ONCE] for at in range(0, len(names), ACCOUNTS_AT_ONCE)]
