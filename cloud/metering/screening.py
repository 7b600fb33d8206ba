"""Screening of raw register reads: which ones may bill, and a verdict on each that may not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from cloud.metering.installs import Install, RegisterRead

SMALL_FALL_COUNTS = 1


class Rule(StrEnum):
    """Why a read is not kept."""

    DUPLICATE = "duplicate"
    CONFLICTING = "conflicting"
    OUTSIDE_INSTALL = "outside-install"
    OUT_OF_RANGE = "out-of-range"
    FALSE_ZERO = "false-zero"
    BACKWARDS_SMALL = "backwards-small"
    BACKWARDS = "backwards"
    SPIKE = "spike"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One read that was set aside, the rule that did it and the read it was judged against."""

    rule: Rule
    read: RegisterRead
    against: RegisterRead | None = None


def clean(
    reads: Iterable[RegisterRead], install: Install
) -> tuple[list[RegisterRead], list[Verdict]]:
    """Sort reads and set aside what must not bill; kept reads never fall except by a rollover.

    The order and repetition of the input do not matter. A fall never becomes consumption: a false
    zero that comes back and a fall by one step are ignored, any other fall waits for an event
    (reset, replacement) and leaves the boundary without a read.
    """
    verdicts: list[Verdict] = []
    single = _one_per_instant(sorted(reads), install, verdicts)
    kept: list[RegisterRead] = []
    for index, read in enumerate(single):
        following = single[index + 1] if index + 1 < len(single) else None
        base = kept[-1] if kept else install.start_read
        if _follows(base, read, install) and not _is_blip(base, read, following, install):
            kept.append(read)
            continue
        before = kept[-2] if len(kept) > 1 else install.start_read
        if kept and _base_is_spike(before, kept[-1], read, following, install=install):
            verdicts.append(Verdict(Rule.SPIKE, kept.pop(), read))
            kept.append(read)
            continue
        verdicts.append(Verdict(_rule_for(base, read), read, base))
    verdicts.sort(key=lambda verdict: (verdict.read, verdict.rule))
    return kept, verdicts


def _one_per_instant(
    ordered: Sequence[RegisterRead], install: Install, verdicts: list[Verdict]
) -> list[RegisterRead]:
    single: list[RegisterRead] = []
    for read_at_us, group in groupby(ordered, key=lambda read: read.read_at_us):
        same = list(group)
        removed_at_us = install.removed_at_us
        if read_at_us < install.installed_at_us or (
            removed_at_us is not None and read_at_us > removed_at_us
        ):
            verdicts.extend(Verdict(Rule.OUTSIDE_INSTALL, read) for read in same)
            continue
        possible = [read for read in same if install.holds(read.count)]
        verdicts.extend(
            Verdict(Rule.OUT_OF_RANGE, read) for read in same if not install.holds(read.count)
        )
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
    if counts < 0:
        if install.capacity is None or allowed is None:
            return False
        counts += install.capacity
    return allowed is None or counts <= allowed


def _is_blip(
    base: RegisterRead, read: RegisterRead, following: RegisterRead | None, install: Install
) -> bool:
    # Near its capacity a false zero looks like a rollover, until the register comes back.
    return (
        read.count < base.count
        and following is not None
        and not _follows(read, following, install)
        and following.count >= base.count
        and _follows(base, following, install)
    )


def _base_is_spike(
    before: RegisterRead,
    base: RegisterRead,
    read: RegisterRead,
    following: RegisterRead | None,
    *,
    install: Install,
) -> bool:
    # The read before, this one and the next agree without the base: the base was the odd one.
    return (
        base.count - read.count > SMALL_FALL_COUNTS
        and following is not None
        and before.count <= read.count <= following.count < base.count
        and _follows(before, read, install)
        and _follows(read, following, install)
    )


def _rule_for(base: RegisterRead, read: RegisterRead) -> Rule:
    if read.count > base.count:
        return Rule.SPIKE
    if read.count == 0:
        return Rule.FALSE_ZERO
    if base.count - read.count <= SMALL_FALL_COUNTS:
        return Rule.BACKWARDS_SMALL
    return Rule.BACKWARDS
