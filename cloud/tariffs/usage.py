"""What a customer used in a span, ready to be rated."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Premise:
    """What tariffs ask of a premise; None where nobody registered it."""

    area_m2: Decimal | None = None
    people: int | None = None
    households: int = 1
    floor: int | None = None
    vehicles: int | None = None


@dataclass(frozen=True, slots=True)
class UsageInterval:
    """Quantity used over [start_at, end_at), aware instants."""

    start_at: datetime
    end_at: datetime
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class SupplierInvoice:
    """What the supplier charged for the master meter: yuan for a quantity of the tariff's uom."""

    amount: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Use of one service over the local days [from_on, to_on), in the tariff's uom.

    One of quantity, time_of_use (by period code) and intervals is enough. used_before is the
    quantity already used in the tier's own period, carried_before the remainder of a
    quantity_step brought over from the bill before. held_from is the day from which the household
    has its account: it bounds the allowances of its first tier period.
    """

    from_on: date
    to_on: date
    quantity: Decimal | None = None
    time_of_use: dict[str, Decimal] | None = None
    intervals: tuple[UsageInterval, ...] | None = None
    used_before: Decimal = Decimal(0)
    carried_before: Decimal = Decimal(0)
    held_from: date | None = None
    premise: Premise = field(default_factory=Premise)
    invoice: SupplierInvoice | None = None

    @property
    def days(self) -> int:
        """Give the number of days."""
        return (self.to_on - self.from_on).days
