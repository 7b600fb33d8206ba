"""Mutants of what a gateway keeps and tells: the ladder, losses, salvage, clocks, signatures."""

from typing import Final

from tests.simulation.mutation import Mutant

_RETENTION: Final = "edge.journal_retention:Retention"
_SALVAGE: Final = "edge.journal_salvage"
_PASS: Final = "pass"

STORAGE_MUTANTS: Final = (
    # a full disk
    Mutant(
        "thinned-undeclared",
        "gateway 7: each id that loses a record is named",
        "edge.journal_thinning:thin",
        "if total > len(kept[name])",
        "if total > len(kept[name]) + 1",
    ),
    Mutant(
        "last-read-thinned",
        "I9: the last read of each hour is kept",
        "edge.journal_thinning:thin",
        "kept[end.batch_id].append(end.reading)",
        _PASS,
    ),
    Mutant(
        "loss-one-id-less",
        "gateway 7: each lost batch is named",
        "edge.journal_losses:losses",
        "rest = list(lost)",
        "rest = list(lost)[1:]",
    ),
    Mutant(
        "losses-not-told",
        "gateway 7: losses are declared in the same transaction",
        f"{_RETENTION}._thin",
        "self._chain.store(LANE_EVENTS, events, now_us)",
        _PASS,
    ),
    Mutant(
        "kept-not-chained",
        "gateway 8: what is kept is sent",
        f"{_RETENTION}._thin",
        "[*order[:place], *fresh, *order[place:]]",
        "[*order[:place], *order[place:]]",
    ),
    Mutant(
        "grace-of-the-unacknowledged",
        "gateway 8: only acknowledged batches are dropped undeclared",
        f"{_RETENTION}._drop_grace",
        "e.seq < l.acked",
        "e.seq < l.acked + 3",
    ),
    Mutant(
        "refused-forgotten",
        "gateway 7: refused records are counted and declared",
        "edge.journal_refusals:_added",
        "refused if held is None else _sum(held, refused)",
        "refused",
    ),
    Mutant(
        "refused-declared-twice",
        "gateway 7: refused records are declared once",
        "edge.journal_refusals:Refusals.declare",
        'self._db.execute("DELETE FROM marks WHERE key = ?", (f"{REFUSED_MARK}{lane}",))',
        _PASS,
    ),
    Mutant(
        "refused-without-count-forgotten",
        "gateway 7: what is refused without room for its count is declared later",
        f"{_RETENTION}.write",
        "self._refusals.remember(lane, records)",
        _PASS,
    ),
    Mutant(
        "no-quota",
        "I11: a journal stays within its limit",
        "edge.journal_space:Space.__init__",
        "(max_bytes - 2 * self.reserve_bytes)",
        "max_bytes",
    ),
    # a damaged file
    Mutant(
        "salvage-names-none",
        "gateway 7: what salvage cannot take is named",
        f"{_SALVAGE}:_take_batches",
        "result.lost[name] = None",
        _PASS,
    ),
    Mutant(
        "damage-not-seen",
        "I1: what is not as it was sealed is found at the start",
        "edge.journal_integrity:_chain_faults",
        "if sealed.hash != digest:",
        "if False:",
    ),
    # a wrong clock
    Mutant(
        "clock-believed-at-once",
        "gateway 9: nobody believes a clock that nothing agrees with",
        "edge.clock:SystemClock.is_certain",
        "return self._disciplined",
        "return True",
    ),
    Mutant(
        "fix-of-another-instant",
        "gateway 9: a clock event tells the time of its own instant",
        "edge.clock_watch:ClockWatch.look",
        "fix.wall_us + monotonic_us - fix.monotonic_us",
        "fix.wall_us - monotonic_us + fix.monotonic_us + 9_000_000",
    ),
    # signatures
    Mutant(
        "signs-something-else",
        "SIG: what is signed is the hash of the place",
        "edge.signing:Signer._sign",
        "digest=place.hash",
        "digest=bytes(32)",
    ),
    Mutant(
        "signs-no-events",
        "SIG: the newest batch of each lane",
        "edge.signing:Signer._sign",
        "(LANE_READINGS, LANE_EVENTS)",
        "(LANE_READINGS,)",
    ),
    Mutant(
        "signs-once",
        "SIG: again when there is something new",
        "edge.signing:Signer._is_new",
        "return place != before",
        "return before is None",
    ),
)
