"""The one port that a payment channel implements, and what is said across it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from cloud.errors import CloudError


class Status(StrEnum):
    """What a channel says of an order."""

    OPEN = "open"  # it waits for its payer
    PAID = "paid"
    CLOSED = "closed"
    UNKNOWN = "unknown"  # nobody scanned it, or it never arrived


class RefundStatus(StrEnum):
    """What a channel says of a refund."""

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Wanted:
    """An order as the channel is asked for it; `number` is ours and the same one is one order."""

    number: str
    amount_fen: int
    subject: str
    expires_us: int


@dataclass(frozen=True)
class Evidence:
    """What a channel sent: its bytes, their signature, and what they say in plain text."""

    body: bytes
    signature: str = ""
    plain: str = ""


@dataclass(frozen=True)
class Told:
    """What a channel says of an order, signed by it; None where it does not say."""

    number: str
    status: Status
    evidence: Evidence = field(repr=False)
    transaction_id: str = ""
    amount_fen: int | None = None
    currency: str = "CNY"
    app_id: str | None = None
    merchant_id: str | None = None
    paid_us: int | None = None


@dataclass(frozen=True)
class RefundWanted:
    """A refund as the channel is asked for it; the same `number` gives back once."""

    number: str
    order_number: str
    transaction_id: str
    amount_fen: int
    total_fen: int
    reason: str


@dataclass(frozen=True)
class RefundTold:
    """What a channel says of a refund."""

    number: str
    status: RefundStatus
    refund_id: str = ""
    amount_fen: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Reply:
    """What a channel wants to hear when it notifies us."""

    status: int
    body: bytes
    media_type: str


class ChannelUnreachableError(CloudError):
    """Nothing is known of what the channel did: ask again."""


class ChannelRefusedError(CloudError):
    """The channel says no; `code` is its own word for why."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code apart from the message."""
        super().__init__(f"{code}: {message}")
        self.code = code


class ForgedError(CloudError):
    """What came is not signed by the channel, or is too old."""


class Channel(Protocol):
    """A payment channel; its calls block for seconds and never happen inside a transaction."""

    @property
    def name(self) -> str:
        """Return the ledger's word for it: wechat or alipay."""

    @property
    def app_id(self) -> str:
        """Return our app id there."""

    @property
    def merchant_id(self) -> str:
        """Return our merchant id there."""

    def create(self, wanted: Wanted) -> str:
        """Make an order; return the address that its payer opens, as a QR code."""

    def query(self, number: str) -> Told:
        """Say how an order stands."""

    def close(self, number: str) -> None:
        """Close an unpaid order; ChannelRefusedError where it was paid."""

    def refund(self, wanted: RefundWanted) -> RefundTold:
        """Give money of a paid order back."""

    def query_refund(self, wanted: RefundWanted) -> RefundTold:
        """Say how a refund stands."""

    def parse(self, headers: Mapping[str, str], body: bytes) -> Told | None:
        """Read a notification (lower-case headers); None if it is of no order; ForgedError."""

    def reply(self, *, is_kept: bool) -> Reply:
        """Return the answer to a notification: whether it need not be sent again."""
