"""A register read, and a meter while it stands at a meter point."""

from dataclasses import dataclass
from decimal import Decimal

_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True, order=True)
class RegisterRead:
    """Cumulative total of a meter in integer counts at an instant."""

    read_at_us: int
    count: int
    estimated: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """A meter installed for a time: value = count x 10**exponent, usage x multiplier 综合倍率.

    capacity is the register's modulus in counts, max_per_hour its physical limit in counts.
    end_rolls_over says that a rollover was declared at removed_at_us; idle_from_us that from then
    to installed_at_us nothing was consumed for the customer (a test run).
    """

    meter_id: str
    exponent: int
    multiplier: Decimal = Decimal(1)
    capacity: int | None = None
    max_per_hour: int | None = None
    installed_at_us: int
    removed_at_us: int | None = None
    start_count: int
    end_count: int | None = None
    end_rolls_over: bool = False
    idle_from_us: int | None = None

    def __post_init__(self) -> None:
        """Refuse an install that could not be billed (ValueError)."""
        if not self.multiplier.is_finite() or self.multiplier <= 0:
            self._refuse("multiplier", self.multiplier, "a finite number above 0")
        if self.capacity is not None and self.capacity <= 0:
            self._refuse("capacity", self.capacity, "a count above 0, or none")
        if self.max_per_hour is not None and self.max_per_hour <= 0:
            self._refuse("max_per_hour", self.max_per_hour, "a count above 0, or none")
        if self.removed_at_us is not None and self.removed_at_us < self.installed_at_us:
            self._refuse("removed_at_us", self.removed_at_us, "not before installed_at_us")
        for name, count in (("start_count", self.start_count), ("end_count", self.end_count)):
            if count is not None and not self.holds(count):
                self._refuse(name, count, "from 0 to below the capacity")

    @property
    def start_read(self) -> RegisterRead:
        """Give the register as the fitter wrote it down at installation."""
        return RegisterRead(self.installed_at_us, self.start_count, source="install")

    @property
    def end_read(self) -> RegisterRead | None:
        """Give the register as the fitter wrote it down at removal, None while it stands."""
        if self.removed_at_us is None or self.end_count is None:
            return None
        return RegisterRead(self.removed_at_us, self.end_count, source="removal")

    @property
    def event_instants_us(self) -> tuple[int, ...]:
        """Give the instants at which a fitter's read is on record."""
        end_read = self.end_read
        return (self.installed_at_us, *([end_read.read_at_us] if end_read else []))

    @property
    def covers_from_us(self) -> int:
        """Give the instant from which consumption at its place is accounted for."""
        return self.installed_at_us if self.idle_from_us is None else self.idle_from_us

    def holds(self, count: int) -> bool:
        """Tell whether the register can show this count at all."""
        return count >= 0 and (self.capacity is None or count < self.capacity)

    def max_counts(self, span_us: int) -> int | None:
        """Most counts plausible in span_us (one more for the running digit), None if unknown."""
        if self.max_per_hour is None:
            return None
        return -(-self.max_per_hour * max(span_us, 0) // _HOUR_US) + 1

    def _refuse(self, name: str, value: object, allowed: str) -> None:
        msg = f"install of meter {self.meter_id}: {name}: {value}: allowed is {allowed}"
        raise ValueError(msg)
