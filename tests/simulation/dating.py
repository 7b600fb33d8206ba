"""The true time of each reading, against what the cloud made of a clock that was wrong."""

from typing import TYPE_CHECKING, Any

from tests.simulation.ledger import Violation
from tests.simulation.memory_store import RowKey, Tables
from tests.simulation.wire_format import Row

if TYPE_CHECKING:
    from tests.simulation.oracle import Oracle

_BOOT_BYTES = 12
# what the shipped clock takes for agreement, and the offset that tells readings apart
_SPARE_US = 2_000_000 + 10_000
# an answer waits its turn in the gateway; where hours go by in minutes that is much
_TURN_US, _PACED_TURN_US = 1_000_000, 5_000_000


class Dating:
    """Knows when each reading was really read, and how late the cloud's time may have been."""

    def __init__(self, oracle: "Oracle") -> None:
        self._oracle = oracle
        self._true_us: dict[int, int] = {}
        self._late_us: dict[str, int] = {}

    def read(self, number: int, true_us: int) -> None:
        """Take note of the true time of a reading."""
        self._true_us[number] = true_us

    def told(self, gateway: str, answer: dict[str, Any], true_us: int) -> None:
        """Take note of how old the cloud's time is when a gateway hears of it."""
        if "server_time" in answer:
            late_us = true_us - answer["server_time"]
            self._late_us[gateway] = max(late_us, self._late_us.get(gateway, 0))

    def expected(self, tables: Tables, name: bytes, origin: bytes, row: Row) -> set[RowKey]:
        """Return where the history has an uncertain reading that a stored batch has of `origin`.

        Nowhere while its boot's time is unknown: then the batch is held.
        """
        gateway = tables.batches[name].gateway
        found = self._rows(tables, gateway, row)
        boot = origin[:_BOOT_BYTES]
        held = (name, (gateway, boot)) in tables.undated
        if boot not in self._fixed(tables):
            if not held:
                raise Violation("I1", f"{name.hex()} has no date and is not held", kind="lost")
            if found and self._oracle.number_of(row) not in self._oracle.copied:
                raise Violation("dating", f"{row} is dated by nothing")
            return found
        if held:
            raise Violation("I13", f"{name.hex()} is held and could be dated", kind="stuck")
        if not found:
            raise Violation("I1", f"{row} waited for its date and is gone", kind="lost")
        return found

    def is_kept(self, tables: Tables, gateway: str, row: Row) -> bool:
        """Whether the history has an uncertain reading under some date, or a batch waits for it."""
        key = (gateway, row.device, row.number)
        return key in self._index(tables) or self._oracle.number_of(row) in self._held(tables)

    def check_certain(self, gateway: str, row: Row) -> None:
        """A reading that its gateway was sure of has nearly the true time."""
        self._check(gateway, self._oracle.number_of(row), row.at_us)

    def _rows(self, tables: Tables, gateway: str, row: Row) -> set[RowKey]:
        index = self._index(tables)
        found = index.get((gateway, row.device, row.number), set())
        for key in found:
            self._check(gateway, self._oracle.number_of(row), key.read_at_us)
        return found

    def _check(self, gateway: str, number: int, at_us: int) -> None:
        off_us = at_us - self._true_us[number]
        pace = self._oracle.world.plan.pace
        turn_us = _TURN_US if pace == 1 else _PACED_TURN_US * pace
        if abs(off_us) > _SPARE_US + turn_us + self._late_us.get(gateway, 0):
            raise Violation("dating", f"reading {number} of {gateway} is off by {off_us / 1e6} s")

    def _index(self, tables: Tables) -> dict[tuple[str, str, int | None], set[RowKey]]:
        if self._indexed is not tables:
            self._indexed = tables
            self._keys = {}
            for key in tables.readings:
                if key.count is not None:
                    self._keys.setdefault((key.gateway, key.device, key.count), set()).add(key)
        return self._keys

    def _held(self, tables: Tables) -> set[int]:
        if self._waiting is None:
            self._waiting = set()
            for name, _ in tables.undated:
                seen = self._oracle.batches[name]
                self._waiting |= seen.numbers | set(seen.kept)
        return self._waiting

    def _fixed(self, tables: Tables) -> set[bytes]:
        if self._fixes is None:
            self._fixes = {
                name[:_BOOT_BYTES]
                for name in tables.batches
                for told in self._oracle.batches[name].told
                if told.kind == "clock" and told.body.get("wall_us") is not None
            }
        return self._fixes

    _indexed: Tables | None = None
    _keys: dict[tuple[str, str, int | None], set[RowKey]]
    _fixes: set[bytes] | None = None
    _waiting: set[int] | None = None
