"""One bill as its page shows it: line items with their evidence, tiers and tariff."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cloud.billing.evidence import BillEvidence, ItemEvidence, PartEvidence
from cloud.documents import DocumentError, parse_yaml
from cloud.web.bill_queries import LineItem

_TIER: Final = re.compile(r"\.tier(\d+)")


@dataclass(frozen=True)
class OpenItem:
    """A printed row and what it stands on."""

    item: LineItem
    evidence: ItemEvidence | None
    tier: int | None


@dataclass(frozen=True)
class Slice:
    """A tier's part of the quantity on a bar of 1000 units."""

    tier: int
    quantity: Decimal
    start: int
    width: int


@dataclass(frozen=True)
class OpenBill:
    """All rows, the tiers they fill, and the meters they stand on, each once."""

    rows: tuple[OpenItem, ...]
    tiers: tuple[Slice, ...]
    parts: tuple[PartEvidence, ...]
    pool_parts: tuple[PartEvidence, ...]

    @property
    def time_uncertain(self) -> bool:
        """Say whether it stands on a read whose time was uncertain and was found since."""
        return any(
            read.time_uncertain
            for part in (*self.parts, *self.pool_parts)
            for register in (part.start, part.end)
            for read in register.reads
        )


@dataclass(frozen=True)
class TariffFace:
    """What a reader wants to know of a tariff before its text."""

    id: str
    version: str
    name: str
    name_en: str
    source: str
    verified: bool
    text: str


def open_items(items: Sequence[LineItem], evidence: BillEvidence) -> OpenBill:
    """Return a bill's rows with their evidence."""
    by_position = {found.position: found for found in evidence.items}
    rows = tuple(OpenItem(item, by_position.get(item.position), _tier(item.code)) for item in items)
    return OpenBill(
        rows,
        _slices(rows),
        _parts(item for item in evidence.items if item.statement is None),
        _parts(item for item in evidence.items if item.statement is not None),
    )


def tariff_face(text: str) -> TariffFace | None:
    """Return the head of a tariff's text, None where there is none."""
    if not text:
        return None
    try:
        document = parse_yaml(text, name="tariff")
    except DocumentError:
        document = {}
    fields = document if isinstance(document, dict) else {}
    names = fields.get("name")
    named = names if isinstance(names, dict) else {}
    return TariffFace(
        str(fields.get("id", "")),
        str(fields.get("version", "")),
        str(named.get("zh", "")),
        str(named.get("en", "")),
        str(fields.get("source", "")),
        bool(fields.get("verified")),
        text,
    )


def _parts(items: Iterable[ItemEvidence]) -> tuple[PartEvidence, ...]:
    # line items share their meters: each is opened once
    return tuple(dict.fromkeys(part for item in items for part in item.parts))


def _tier(code: str) -> int | None:
    match = _TIER.search(code)
    return int(match[1]) if match else None


def _slices(rows: Sequence[OpenItem]) -> tuple[Slice, ...]:
    # a component (water, sewage) repeats the tier's quantity: each tier counts once
    first = rows[0].item.code.partition(".")[0] if rows else ""
    sums: dict[int, Decimal] = {}
    for row in rows:
        if row.tier is not None and row.item.code.partition(".")[0] == first:
            sums[row.tier] = sums.get(row.tier, Decimal(0)) + Decimal(row.item.quantity)
    total = sum(sums.values(), Decimal(0))
    slices, start = [], 0
    gone = Decimal(0)
    for tier, quantity in sorted(sums.items()):
        gone += quantity
        end = int(gone * 1000 / total) if total else 0
        slices.append(Slice(tier, quantity, start, end - start))
        start = end
    return tuple(slices)
