"""Bill runs and what they would post, as rows for pages."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from cloud.billing import repository, run_repository
from cloud.billing.cycles import days_of, next_month
from cloud.billing.drafts import Draft, Reversal, Sheet
from cloud.billing.run_repository import Run, RunKey
from cloud.billing.run_steps import Phase


@dataclass(frozen=True)
class Sum:
    """How many bills a charge item has, and what they come to."""

    item: str
    bills: int
    total_fen: int


@dataclass(frozen=True)
class Drafts:
    """What a run would post: sums by charge item, public sheets, and what it takes back."""

    sums: tuple[Sum, ...]
    sheets: tuple[Sheet, ...]
    reversals: int
    reversed_fen: int
    largest: tuple[Draft, ...]


def runs_of(connection: Connection, project_id: str) -> list[Run]:
    """Return the runs of a project, the newest period first."""
    return run_repository.runs_of(connection, project_id)


def unbilled(
    connection: Connection, project_id: str, runs: Sequence[Run], today: date
) -> list[str]:
    """Return the periods that are over, are billed by us, and have no run, newest first."""
    begun = repository.first_cutover(connection, project_id)
    if begun is None:
        return []
    taken = {run.period for run in runs}
    found, day = [], begun.replace(day=1)
    while (after := next_month(day)) <= today:
        if f"{day:%Y-%m}" not in taken:
            found.append(f"{day:%Y-%m}")
        day = after
    return found[::-1]


def progress(connection: Connection, run: Run) -> tuple[int, int]:
    """Return how many shards of a run's phase are done, and how many there are."""
    done = run_repository.shards_done(connection, run.key)
    phase = {Phase.RATING: Phase.RATING, Phase.POSTING: Phase.POSTING}.get(Phase(run.phase))
    return (done[phase] if phase else 0), sum(done.values())


def drafts_of(connection: Connection, key: RunKey, *, largest: int = 20) -> Drafts:
    """Return what a run that is drafted would post."""
    count: Counter[str] = Counter()
    fen: Counter[str] = Counter()
    every = run_repository.drafts_of(connection, key)
    drafts = [each for each in every if isinstance(each, Draft)]
    for draft in drafts:
        count[draft.service] += 1
        fen[draft.service] += draft.total_fen
    reversals = [each for each in every if isinstance(each, Reversal)]
    return Drafts(
        tuple(Sum(item, count[item], fen[item]) for item in sorted(count)),
        tuple(each for each in every if isinstance(each, Sheet)),
        len(reversals),
        sum(each.total_fen for each in reversals),
        tuple(sorted(drafts, key=lambda draft: -draft.total_fen)[:largest]),
    )


def is_over(period: str, today: date) -> bool:
    """Say whether a period's last day is past."""
    return days_of(period).to_on <= today
