"""Whether a read that a person took may be right, told at once: accept, ask again, or refuse."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloud.metering.boundaries import Estimator
from cloud.metering.installs import Install, RegisterRead

AHEAD_US: Final = 5 * 60_000_000
FACTOR: Final = 3
SLACK_COUNTS: Final = 10


class Answer(StrEnum):
    """What becomes of a read."""

    ACCEPT = "accept"
    ASK = "ask"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Judgement:
    """An answer with its reason, empty for a read that looks like all the others."""

    answer: Answer
    reason: str = ""

    @property
    def may_stand(self) -> bool:
        """Say whether the read may be stored, once its taker confirmed it."""
        return self.answer is not Answer.REFUSE


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The kept reads on both sides of an instant; after is None for the newest."""

    before: RegisterRead
    after: RegisterRead | None


def judge(
    read: RegisterRead,
    install: Install | None,
    neighbours: Neighbours | None,
    *,
    history: Estimator,
    now_us: int,
) -> Judgement:
    """Judge a read against the register, the reads around it, its limit and its history.

    install and neighbours are None where no meter stood at that instant.
    """
    if read.read_at_us > now_us + AHEAD_US:
        return _refuse(f"read_at: {read.read_at_us} us: allowed is up to now")
    if install is None or neighbours is None:
        return _refuse(f"read_at: {read.read_at_us} us: no meter stood here then")
    if not install.holds(read.count):
        most = "no limit" if install.capacity is None else f"below {install.capacity}"
        return _refuse(f"count: {read.count}: allowed is from 0, {most}")
    before, after = neighbours.before, neighbours.after
    if before.read_at_us == read.read_at_us or (
        after is not None and after.read_at_us == read.read_at_us
    ):
        return _refuse(f"read_at: {read.read_at_us} us: a read of that instant is there already")
    if after is not None and before.count <= after.count < read.count:
        return _refuse(f"count: {read.count}: a later read shows {after.count}")
    used = read.count - before.count
    most_counts = install.max_counts(read.read_at_us - before.read_at_us)
    if used < 0:
        turned = None if install.capacity is None else used + install.capacity
        if turned is None or most_counts is None or turned > most_counts:
            return _refuse(f"count: {read.count}: the read before shows {before.count}")
        return Judgement(Answer.ASK, f"count: {read.count}: did it roll over from {before.count}?")
    if most_counts is not None and used > most_counts:
        return _refuse(f"count: {read.count}: {used} used, the meter can do {most_counts}")
    return _against_history(read, before, used, history)


def _against_history(
    read: RegisterRead, before: RegisterRead, used: int, history: Estimator
) -> Judgement:
    usual = history.expected(before, read.read_at_us)
    if usual is None:
        return Judgement(Answer.ACCEPT)
    counts, rule = usual
    if used > FACTOR * counts + SLACK_COUNTS:
        return Judgement(
            Answer.ASK, f"count: {read.count}: {used} used, usual are {counts} ({rule})"
        )
    if FACTOR * used + SLACK_COUNTS < counts:
        return Judgement(
            Answer.ASK, f"count: {read.count}: only {used} used, usual are {counts} ({rule})"
        )
    return Judgement(Answer.ACCEPT)


def _refuse(reason: str) -> Judgement:
    return Judgement(Answer.REFUSE, reason)
