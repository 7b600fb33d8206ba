"""Bills before they are posted: what a run works out, and how it is kept until then (pure)."""

from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from cloud.metering.registers import sum_of


class Key(NamedTuple):
    """What is billed once: a charge item of an account's period; `part` tells several apart."""

    account_id: str
    service: str
    period: str
    part: str = ""


class Item(msgspec.Struct, frozen=True):
    """A printed row; quantities and prices are decimals as text."""

    segment: int
    code: str
    description: str
    description_en: str
    quantity: str
    uom: str
    unit_price: str
    amount_fen: int
    formula: str


class Closing(msgspec.Struct, frozen=True):
    """What is billed of a meter point's span, for the true-up 退补 of the next one."""

    meter_point_id: str
    start_us: int
    end_us: int
    quantity: str
    is_open: bool
    rules: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A bill as it would be posted over the local days [from_on, to_on).

    `inputs` is JSON: what each segment of the span was rated from. `carried` is the remainder of a
    quantity_step, for the next bill.
    """

    account_id: str
    premise_id: str
    holder: str
    service: str
    period: str
    from_on: date
    to_on: date
    total_fen: int
    inputs: str
    items: tuple[Item, ...]
    part: str = ""
    revision: int = 1
    tariff_id: str | None = None
    tariff_hash: str | None = None
    quantity: str | None = None
    carried: str = "0"
    estimated: bool = False
    closings: tuple[Closing, ...] = ()

    @property
    def key(self) -> "Key":
        """Give what is billed once."""
        return Key(self.account_id, self.service, self.period, self.part)

    @property
    def id(self) -> str:
        """Name the bill that this becomes."""
        names = [self.period, self.account_id, self.service, self.part, str(self.revision)]
        return "-".join(name for name in names if name)


class Reversal(msgspec.Struct, frozen=True):
    """A posted bill that is to be taken back 冲红, whole."""

    bill_id: str
    account_id: str
    service: str
    period: str
    total_fen: int


class Share(msgspec.Struct, frozen=True, array_like=True):
    """What a premise bears of a pool; `facts` say as JSON where its weight is from."""

    premise_id: str
    weight: str
    amount_fen: int
    facts: str = "{}"


class Exempt(msgspec.Struct, frozen=True):
    """A premise that bears nothing of a pool, and why; its part where the company bears it."""

    premise_id: str
    reason: str
    borne_by: str
    weight: str = "0"
    amount_fen: int = 0


class Sheet(msgspec.Struct, frozen=True):
    """A pool's public sheet 公示表 as it would be posted.

    `invoice` is the supplier's as JSON, `tariff_hash` that of the tariff which priced by it,
    `meters` the meter points as they were counted and `corrections` those of earlier months, as
    JSON. `by` weighs premises, `fallback` in its place where all weights were 0. The total is the
    sum of the shares and of what the company bears for the exempt.
    """

    pool_id: str
    period: str
    master: str
    subs: str
    public: str
    loss: str
    charged: str
    unit_price: str
    total_fen: int
    note: str
    evidence: str
    kind: str
    cap_percent: str
    invoice: str
    tariff_hash: str
    shares: tuple[Share, ...]
    closings: tuple[Closing, ...]
    level: str = "building"
    entrance: str = ""
    by: str = "area"
    formula: str = ""
    fallback: str = ""
    carried_in: str = "0"
    corrected: str = "0"
    above_cap: str = "0"
    carried_out: str = "0"
    company_fen: int = 0
    exempt: tuple[Exempt, ...] = ()
    meters: str = "[]"
    corrections: str = "[]"

    @property
    def weighed_by(self) -> str:
        """Give what the shares were weighed by in the end."""
        return self.fallback or self.by

    @property
    def weight_total(self) -> Decimal:
        """Return the sum of all weights that count."""
        every = [*(s.weight for s in self.shares), *(e.weight for e in self.exempt)]
        return sum_of([Decimal(weight) for weight in every])


class Held(msgspec.Struct, frozen=True):
    """What cannot be billed, and why; `subject` is a meter point, or account/item."""

    subject: str
    reason: str
    meter_point_id: str | None = None
    account_id: str | None = None
    service: str = ""


class Use(msgspec.Struct, frozen=True):
    """What a meter point used of a period: `parts` is its evidence as JSON."""

    quantity: str
    estimated: bool
    parts: str
    closing: Closing


Drafted = Draft | Reversal | Sheet

_KINDS: Final[dict[type[Drafted], str]] = {Draft: "bill", Reversal: "credit", Sheet: "sheet"}
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODERS: Final = {kind: msgspec.msgpack.Decoder(of) for of, kind in _KINDS.items()}
_USE: Final = msgspec.msgpack.Decoder(Use)


def pack(drafted: Drafted | Use) -> bytes:
    """Return the bytes that a draft or a use is kept as."""
    return _ENCODER.encode(drafted)


def unpack(kind: str, body: bytes) -> Drafted:
    """Return a draft from its kind and bytes."""
    return _DECODERS[kind].decode(body)


def unpack_use(body: bytes) -> Use:
    """Return a use from its bytes."""
    return _USE.decode(body)


def kind_of(drafted: Drafted) -> str:
    """Name what a draft becomes: bill, credit or sheet."""
    return _KINDS[type(drafted)]
