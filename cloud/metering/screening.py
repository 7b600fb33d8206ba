"""Screening of raw register reads: which ones may bill, and a verdict on each that may not."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final

from cloud.metering.installs import Install, RegisterRead

SMALL_FALL_COUNTS = 1
# how many reads ahead, and how many alike behind, a doubtful one is weighed against
LOOKAHEAD: Final = 8
RUN: Final = 5
# what registers of 32 bits hold where there is no value
SENTINELS: Final = frozenset({0x7FFFFFFF, 0x80000000, 0xFFFFFFFF})


class Rule(StrEnum):
    """What a verdict says of a read; the last ones keep it."""

    DUPLICATE = "duplicate"
    CONFLICTING = "conflicting"
    OUTSIDE_INSTALL = "outside-install"
    OUT_OF_RANGE = "out-of-range"
    NOT_AVAILABLE = "not-available"
    UNUSABLE = "unusable"
    FALSE_ZERO = "false-zero"
    BACKWARDS_SMALL = "backwards-small"
    BACKWARDS = "backwards"
    SPIKE = "spike"
    EDITED = "edited"
    BELIED = "belied"
    ROLLOVER = "rollover"
    ACCEPTED = "accepted"
    SPIKE_HISTORY = "spike-history"
    STUCK = "stuck"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One read, the rule that judged it and the read it was judged against."""

    rule: Rule
    read: RegisterRead
    against: RegisterRead | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where screening stands: the last kept reads of one count, and the kept one before them.

    real is the last kept read that is no estimate, guesses are the estimates kept since.
    """

    run: tuple[RegisterRead, ...]
    before: RegisterRead
    real: RegisterRead
    guesses: tuple[RegisterRead, ...] = ()

    @property
    def base(self) -> RegisterRead:
        """Give the last kept read."""
        return self.run[-1]

    def after(self, read: RegisterRead) -> "Standing":
        """Return where screening stands when one more read is kept."""
        alike = read.count == self.base.count
        return Standing(
            (*self.run[-RUN + 1 :], read) if alike else (read,),
            self.before if alike else self.base,
            self.real if read.estimated else read,
            (*self.guesses, read) if read.estimated else (),
        )

    def without_run(self) -> "Standing":
        """Return where screening stood before the last reads of one count."""
        before = self.before
        return Standing((before,), before, self.real if before.estimated else before)

    def without_guesses(self) -> "Standing":
        """Return where screening stood at the last real read."""
        return Standing((self.real,), self.real, self.real)


@dataclass(frozen=True, slots=True)
class Screened:
    """What screening made of some reads, and where it stands after them."""

    kept: tuple[RegisterRead, ...]
    verdicts: tuple[Verdict, ...]
    standing: Standing


def clean(
    reads: Iterable[RegisterRead], install: Install
) -> tuple[list[RegisterRead], list[Verdict]]:
    """Sort reads and set aside what must not bill; kept reads never fall except by a rollover.

    The order and repetition of the input do not matter. A fall never becomes consumption: a false
    zero that comes back and a fall by one step are ignored, any other fall waits for an event
    (reset, replacement) and leaves the boundary without a read.
    """
    done = screen(reads, install, standing=beginning(install))
    return list(done.kept), [verdict for verdict in done.verdicts if not verdict.kept]


def beginning(install: Install) -> Standing:
    """Return where screening stands when a meter was just installed."""
    first = install.start_read
    return Standing((first,), first, first)


def screen(
    reads: Iterable[RegisterRead],
    install: Install,
    *,
    standing: Standing,
    ahead: Sequence[RegisterRead] = (),
    accepted: AbstractSet[RegisterRead] = frozenset(),
) -> Screened:
    """Screen reads that come after `standing`; `ahead` are the sorted reads that follow them.

    Reads somebody accepted are kept whatever the rules say. A verdict may set aside a read that
    was kept before: the odd ones that stood last in `standing`.
    """
    verdicts: list[Verdict] = []
    single = _one_per_instant(sorted(reads, key=_order), install, verdicts)
    line = [*single, *ahead[:LOOKAHEAD]]
    kept: list[RegisterRead] = []
    first = install.start_read
    for index, read in enumerate(single):
        if standing.guesses and _belies_guesses(standing, read, install):
            verdicts.extend(Verdict(Rule.BELIED, guess, read) for guess in standing.guesses)
            kept = [held for held in kept if held not in standing.guesses]
            standing = standing.without_guesses()
        base = standing.base
        following = line[index + 1] if index + 1 < len(line) else None
        if read in accepted:
            verdicts.append(Verdict(Rule.ACCEPTED, read, base, kept=True))
        elif not _follows(base, read, install) or _is_blip(base, read, line, index, install):
            if not _run_is_spike(standing, read, following, install=install, first=first):
                verdicts.append(Verdict(_rule_for(base, read), read, base))
                continue
            verdicts.extend(Verdict(Rule.SPIKE, odd, read) for odd in standing.run)
            kept = [held for held in kept if held not in standing.run]
            standing = standing.without_run()
        elif read.count < base.count:
            verdicts.append(Verdict(Rule.ROLLOVER, read, base, kept=True))
        kept.append(read)
        standing = standing.after(read)
    verdicts.sort(key=lambda verdict: (verdict.read, verdict.rule))
    return Screened(tuple(kept), tuple(verdicts), standing)


def _one_per_instant(
    ordered: Sequence[RegisterRead], install: Install, verdicts: list[Verdict]
) -> list[RegisterRead]:
    single: list[RegisterRead] = []
    for read_at_us, group in groupby(ordered, key=_instant):
        same = list(group)
        removed_at_us = install.removed_at_us
        if read_at_us < install.installed_at_us or (
            removed_at_us is not None and read_at_us > removed_at_us
        ):
            verdicts.extend(Verdict(Rule.OUTSIDE_INSTALL, read) for read in same)
            continue
        possible = [read for read in same if install.holds(read.count)]
        verdicts.extend(
            Verdict(Rule.NOT_AVAILABLE if read.count in SENTINELS else Rule.OUT_OF_RANGE, read)
            for read in same
            if not install.holds(read.count)
        )
        if len(possible) == 1:
            single += possible
            continue
        # A real read outranks an estimate of the same instant.
        best = [read for read in possible if not read.estimated] or possible
        if not best:
            continue
        if len({read.count for read in best}) > 1:
            verdicts.extend(
                Verdict(Rule.CONFLICTING, read, best[-1] if read == best[0] else best[0])
                for read in best
            )
            continue
        chosen = best[0]
        single.append(chosen)
        possible.remove(chosen)
        verdicts.extend(Verdict(Rule.DUPLICATE, read, chosen) for read in possible)
    return single


def _follows(left: RegisterRead, right: RegisterRead, install: Install) -> bool:
    counts = right.count - left.count
    allowed = install.max_counts(right.read_at_us - left.read_at_us)
    if allowed is None and counts > 0 and right.count in SENTINELS:
        return False
    if counts < 0:
        if install.capacity is None or allowed is None:
            return False
        counts += install.capacity
    return allowed is None or counts <= allowed


def _belies_guesses(standing: Standing, read: RegisterRead, install: Install) -> bool:
    # an estimate gives way to the register
    return (
        not read.estimated
        and not _follows(standing.base, read, install)
        and _follows(standing.real, read, install)
    )


def _is_blip(
    base: RegisterRead,
    read: RegisterRead,
    line: Sequence[RegisterRead],
    index: int,
    install: Install,
) -> bool:
    # Near its capacity a false zero looks like a rollover, until the register comes back.
    if read.count >= base.count:
        return False
    for following in line[index + 1 : index + 1 + LOOKAHEAD]:
        if following.count != read.count:
            return (
                following.count >= base.count
                and not _follows(read, following, install)
                and _follows(base, following, install)
            )
    return False


def _run_is_spike(
    standing: Standing,
    read: RegisterRead,
    following: RegisterRead | None,
    *,
    install: Install,
    first: RegisterRead,
) -> bool:
    # The read before, this one and the next agree without the run: the run was the odd one.
    base, before = standing.base, standing.before
    return (
        following is not None
        and len(standing.run) < RUN
        and first not in standing.run
        and base.count - read.count > SMALL_FALL_COUNTS
        and before.count <= read.count <= following.count < base.count
        and _follows(before, read, install)
        and _follows(read, following, install)
    )


def _rule_for(base: RegisterRead, read: RegisterRead) -> Rule:
    if read.count in SENTINELS:
        return Rule.NOT_AVAILABLE
    if read.count > base.count:
        return Rule.SPIKE
    if read.count == 0:
        return Rule.FALSE_ZERO
    if base.count - read.count <= SMALL_FALL_COUNTS:
        return Rule.BACKWARDS_SMALL
    return Rule.BACKWARDS


def _instant(read: RegisterRead) -> int:
    return read.read_at_us


def _order(read: RegisterRead) -> tuple[int, int, bool, str]:
    # that of the dataclass, and quicker
    return read.read_at_us, read.count, read.estimated, read.source
