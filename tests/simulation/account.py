"""The account of a journal that drops: what each batch still holds, and what was declared lost."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge.journal import Journal, JournalFullError
from protocols.delivery.records import Record
from tests.simulation.ledger import UNCERTAIN, Violation, row_key_of
from tests.simulation.loop import Killed
from tests.simulation.memory_store import Tables
from tests.simulation.wire_format import Contents, Row, Told, ids_of

if TYPE_CHECKING:
    from tests.simulation.disk import Disk
    from tests.simulation.oracle import Oracle

_HOUR_US = 3_600_000_000
_WORDS_OF_COUNT = "refused so far"


class Account:
    """Follows every committed change of the journals that are bounded or damaged.

    It reads what they seal, whether or not it is ever sent, so that no loss goes unnoticed.
    """

    def __init__(self, oracle: "Oracle") -> None:
        plan = oracle.world.plan
        self.wanted = plan.limit_bytes is not None or plan.damages > 0
        self._oracle = oracle
        self._held: dict[bytes, set[int]] = {}
        self._batch_of: dict[int, bytes] = {}
        self._telling: set[bytes] = set()
        self._poisoned: set[int] = set()
        self._damaged: set[bytes] = set()
        self._owner: dict[bytes, str] = {}
        self._unnamed = 0
        self._salvaged = False
        self._refused = Counter[int]()
        self._maybe_refused = 0
        self._unwritten: dict[str, Counter[int]] = {}
        self._declared_refused = Counter[int]()

    def follow(self, journal: Journal) -> None:
        """Take note of what a bounded journal refuses; it says so where it counts them."""
        append = journal.append
        # what an earlier run counted in its memory alone is told, or died with it
        self._maybe_refused += self._unwritten.pop(str(journal.path), Counter()).total()
        unwritten = self._unwritten.setdefault(str(journal.path), Counter())

        def followed(lane: int, records: Sequence[Record], **more: Any) -> None:  # noqa: ANN401 - as it has it
            try:
                append(lane, records, **more)
            except JournalFullError as error:
                unwritten[lane] += len(records)
                if _WORDS_OF_COUNT in str(error):
                    self._refused[lane] += unwritten.pop(lane)
                raise
            except Killed:
                self._maybe_refused += len(records)
                raise

        if self._oracle.world.plan.limit_bytes is not None:
            journal.append = followed  # type: ignore[method-assign] - of this one journal

    def check_size(self, disk: "Disk") -> None:
        """I11: the files of a bounded journal stay within its limit at each commit."""
        limit = self._oracle.world.plan.limit_bytes or 0
        if (used := disk.used_bytes()) > limit:
            raise Violation("I11", f"{disk.name} takes {used} bytes, allowed are {limit}")

    def sealed(self, gateway: str, items: list[tuple[bytes, bytes]]) -> None:
        """Judge the batches of one committed transaction: what it drops, it declares."""
        lost: dict[bytes, int] = {}
        told: list[Told] = []
        for name, payload in items:
            if name in self._held and name not in self._damaged:
                # salvaged: the same bytes again, or the oracle of the wire will say so
                continue
            self._owner[name] = gateway
            contents = self._read(name, payload)
            if contents is None:
                continue
            told += contents.told
            if any(one.kind == "loss" for one in contents.told):
                self._telling.add(name)
            for origin, rows in contents.kept.items():
                self._thin(gateway, origin, rows, lost)
        self._declare(gateway, lost, told)

    def judge(self, tables: Tables, stored: Counter[int], committed: set[int]) -> set[int]:
        """Return what is gone of the committed records: neither in the cloud nor declared."""
        missing = {n for n in committed if not stored[n] and not self._in_history(tables, n)}
        gone: set[int] = set()
        nameless: set[bytes] = set()
        for number in missing:
            name = self._batch_of.get(number)
            if name is None:
                # it never left the open tail, of which a damaged page has no names
                if not self._salvaged:
                    gone.add(number)
            elif name not in self._damaged and number in self._held[name]:
                gone.add(number)
                nameless.add(name)
        if len(nameless) <= self._unnamed:
            gone -= {number for name in nameless for number in self._held[name]}
        for name in self._telling - self._damaged:
            if name not in tables.batches and not self._salvaged:
                raise Violation("rule 7", f"the losses in {name.hex()} were never told")
        self._judge_refused()
        return gone

    def judge_hours(self, tables: Tables, committed: set[int]) -> None:
        """I9: of each register the first and the last read of every hour are in the history."""
        edges: dict[tuple[str, str, int, int], tuple[int, int]] = {}
        # of an append that its process did not live to see return, what was sealed is a read too
        held = (committed | self._batch_of.keys()) - self._poisoned
        at_us = {number: self._oracle.records[number][1].at_us for number in held}
        for number in held:
            _, row = self._oracle.records[number]
            if not row.words:
                continue
            place = (row.device, row.point, row.at_us // _HOUR_US, row.quality)
            first, last = edges.get(place, (number, number))
            edges[place] = (
                number if at_us[number] < at_us[first] else first,
                number if at_us[number] > at_us[last] else last,
            )
        for place, ends in edges.items():
            for number in ends:
                if not self._in_history(tables, number):
                    text = f"{place} {self._oracle.records[number]}"
                    raise Violation("I9", f"the read at the edge of an hour is gone: {text}")

    def _read(self, name: bytes, payload: bytes) -> Contents | None:
        digest = hashlib.sha256(payload).digest()
        numbers = self._oracle.poison.get(digest)
        if numbers is not None:
            self._hold(name, numbers)
            self._poisoned |= numbers
            return None
        found = self._oracle.read(payload, digest)
        if found is None:
            raise Violation("I3", f"batch {name.hex()} is sealed and no payload", kind="mutated")
        self._hold(name, {self._oracle.number_of(row) for row in found[0].rows})
        return found[0]

    def _hold(self, name: bytes, numbers: "set[int] | frozenset[int]") -> None:
        self._held[name] = set(numbers)
        self._batch_of.update(dict.fromkeys(numbers, name))

    def _thin(self, gateway: str, origin: bytes, rows: list[Row], lost: dict[bytes, int]) -> None:
        before = self._held.get(origin)
        kept = {self._oracle.number_of(row) for row in rows}
        if before is None or not kept <= before:
            raise Violation("I3", f"more is kept of {origin.hex()} than it held", kind="mutated")
        for row in rows:
            if self._oracle.records[self._oracle.number_of(row)] != (gateway, row):
                raise Violation("I3", f"{row} is kept and was not so", kind="mutated")
        if before - kept:
            lost[origin] = len(before - kept)
        self._held[origin] = kept

    def _declare(self, gateway: str, lost: dict[bytes, int], told: list[Told]) -> None:
        named: set[bytes] = set()
        count = 0
        for event in told:
            if event.kind == "journal_damaged":
                self._salvaged = True
                self._unnamed += event.body["unnamed_batches"]
                if not event.body["batches"] + event.body["lost_batches"]:
                    # nothing of the file could be read, and that is what is told
                    self._damaged |= {name for name, own in self._owner.items() if own == gateway}
            if event.kind != "loss":
                continue
            reason = event.body["reason"]
            if reason.startswith("full, thinned"):
                named |= ids_of(event.body["ids"])
                count += event.body["count"]
            elif reason == "full, refused":
                self._declared_refused[event.body["lane"]] += event.body["count"]
            else:
                self._damaged |= ids_of(event.body["ids"])
        if named != lost.keys() or count != sum(lost.values()):
            text = f"{count} records of {len(named)} batches are declared lost"
            raise Violation(
                "rule 7", f"{text}; {sum(lost.values())} of {len(lost)} are", kind="lost"
            )

    def _judge_refused(self) -> None:
        refused = sum(self._unwritten.values(), self._refused)
        for lane, declared in self._declared_refused.items():
            if declared > refused[lane] + self._maybe_refused:
                text = f"{declared} declared refused, {refused[lane]} were"
                raise Violation("rule 7", f"lane {lane}: {text}")
        missing = (refused - self._declared_refused).total()
        if missing and not self._oracle.world.counts_refused(missing):
            raise Violation("rule 7", f"{missing} refused records were never declared", kind="lost")

    def _in_history(self, tables: Tables, number: int) -> bool:
        gateway, row = self._oracle.records[number]
        if row.quality == UNCERTAIN:
            return self._oracle.dating.is_kept(tables, gateway, row)
        return bool(row.words) and row_key_of(gateway, row) in tables.readings
