"""What stands on a printed document, as data; a template lays it out (pure)."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class Office:
    """What all documents of a project say of who hands them out."""

    project: str
    contact: str = ""
    payment_means: str = ""


@dataclass(frozen=True)
class Home:
    """Whom a document is for: holder 户名 and premise 房号."""

    holder: str
    building: str
    premise: str


@dataclass(frozen=True)
class Register:
    """A meter's registers of a bill: 上期 and 本期示数, multiplier 倍率, quantity 用量."""

    meter: str
    previous_on: date
    previous: str
    current_on: date
    current: str
    multiplier: str
    quantity: str
    uom: str
    is_estimated: bool = False


@dataclass(frozen=True)
class BillLine:
    """A printed row: quantity x price = amount; `of` is its tier and time-of-use period.

    A share of a pool has no price: its formula stands under it.
    """

    item: str
    of: str
    quantity: str
    uom: str
    unit_price: str
    amount_fen: int
    formula: str = ""


@dataclass(frozen=True)
class LineGroup:
    """The lines of one item with their sum 小计."""

    item: str
    lines: tuple[BillLine, ...]

    @property
    def sum_fen(self) -> int:
        """Give the sum of its lines."""
        return sum(line.amount_fen for line in self.lines)


@dataclass(frozen=True)
class Bill:
    """A bill 账单; what evidence_url opens shows how each number came about."""

    office: Office
    home: Home
    id: str
    service: str
    period: str
    revision: int
    posted_on: date
    due_on: date | None
    registers: tuple[Register, ...]
    lines: tuple[BillLine, ...]
    total_fen: int
    tariff: str
    notes: tuple[str, ...]
    evidence_url: str

    @property
    def groups(self) -> tuple[LineGroup, ...]:
        """Give the lines by item, in the order in which the items first stand."""
        found: dict[str, list[BillLine]] = {}
        for line in self.lines:
            found.setdefault(line.item, []).append(line)
        return tuple(LineGroup(item, tuple(lines)) for item, lines in found.items())


@dataclass(frozen=True)
class Settled:
    """What a receipt is for: an item of a period, or what is prepaid or deposited."""

    item: str
    period: str
    amount_fen: int


@dataclass(frozen=True)
class Receipt:
    """A receipt 收据 of an entry in the books; `voided_on` where it was undone since."""

    office: Office
    home: Home
    title: str
    number: str
    entered_at: str
    channel: str
    lines: tuple[Settled, ...]
    total_fen: int
    entered_by: str
    note: str = ""
    voided_on: date | None = None


@dataclass(frozen=True)
class Owed:
    """A charge that is not settled, in a dunning letter."""

    item: str
    period: str
    charged_fen: int
    settled_fen: int
    owed_fen: int


@dataclass(frozen=True)
class DunningLetter:
    """A dunning letter 催缴函 for all that an account owes on a day."""

    office: Office
    home: Home
    account: str
    letter_on: date
    due_on: date
    lines: tuple[Owed, ...]
    prepaid_fen: int

    @property
    def total_fen(self) -> int:
        """Give what is owed in all."""
        return sum(line.owed_fen for line in self.lines)


@dataclass(frozen=True)
class SheetShare:
    """What one premise bears of a pool; the holder is nobody else's business."""

    premise: str
    weight: Decimal
    amount_fen: int


@dataclass(frozen=True)
class SheetExempt:
    """A premise that bears nothing itself, why, and who bears its part."""

    premise: str
    reason: str
    borne_by: str
    amount_fen: int


@dataclass(frozen=True)
class SheetMeter:
    """A public meter that is shared, where not all are."""

    name: str
    quantity: str


@dataclass(frozen=True)
class PublicSheet:
    """A public sheet 公示表 of one pool: how it came about, and every share of it.

    `weight` names what `by` weighs by, with its uom; an empty quantity is not shown.
    """

    office: Office
    name: str
    kind: str
    building: str
    period: str
    master_name: str
    uom: str
    master: str
    subs: str
    public: str
    loss: str
    carried_in: str
    corrected: str
    charged: str
    above_cap: str
    carried_out: str
    unit_price: str
    resolution: str
    cap_percent: str
    by: str
    weight: str
    total_fen: int
    shares: tuple[SheetShare, ...]
    exempt: tuple[SheetExempt, ...]
    company_fen: int
    company_weight: Decimal
    meters: tuple[SheetMeter, ...]
    evidence_url: str

    @property
    def weight_sum(self) -> Decimal:
        """Give the sum of all weights that count: of the homes, and of what the company bears."""
        return sum((share.weight for share in self.shares), self.company_weight)

    @property
    def share_sum_fen(self) -> int:
        """Give the sum of all shares and of the company's part: the total, to the fen."""
        return sum(share.amount_fen for share in self.shares) + self.company_fen


Document = Bill | Receipt | DunningLetter | PublicSheet
