"""Why this amount: from a line item back to the words that the meter served."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec
from sqlalchemy import Connection, select

from cloud.billing.bill_tables import bills, line_items
from cloud.billing.bundle_pools import public_parts, sheet_of, weight_total
from cloud.billing.pool_repository import facts_of
from cloud.billing.tables import tariff_texts
from cloud.errors import NotFoundError
from cloud.ingest.tables import envelopes
from cloud.metering.tables import installs
from cloud.sites.tables import channels
from cloud.telemetry import repository as telemetry
from cloud.telemetry.chunk import Row
from protocols.delivery.records import DATED, Quality, words_to_hex


@dataclass(frozen=True)
class ReadEvidence:
    """One register read: its words as the meter served them, and the sealed batch they came in.

    A read that a fitter wrote down at an installation or removal has no words and no batch. One
    whose time was uncertain when it was sealed was dated since by a clock event of its boot.
    """

    read_at_us: int
    count: int
    words_hex: str
    gateway_id: str
    lane: int
    epoch_hex: str
    seq: int
    batch_id_hex: str
    envelope_hash_hex: str
    clock_quality: str = ""
    time_uncertain: bool = False


@dataclass(frozen=True)
class RegisterEvidence:
    """The register at a boundary and the one or two reads it stands on."""

    boundary_us: int
    count: int
    estimated: bool
    reads: tuple[ReadEvidence, ...]


@dataclass(frozen=True)
class PartEvidence:
    """What one installed meter contributed: counts = end - start, quantity in uom."""

    meter_point: str
    meter_id: str
    device_id: str
    point: str
    exponent: int
    multiplier: Decimal
    start: RegisterEvidence
    end: RegisterEvidence
    counts: int
    quantity: Decimal


@dataclass(frozen=True)
class Statement:
    """A pool's public sheet 公示表 with this premise's share; quantities in kWh, money in fen.

    `by` and `formula` weighed the premises in the end, `facts` are this one's that say its weight.
    """

    pool_id: str
    master: Decimal
    subs: Decimal
    public: Decimal
    loss: Decimal
    charged: Decimal
    unit_price: Decimal
    total_fen: int
    note: str
    weight: Decimal
    weight_total: Decimal
    share_fen: int
    level: str
    by: str
    formula: str
    facts: Mapping[str, str]
    carried_in: Decimal
    corrected: Decimal
    above_cap: Decimal
    carried_out: Decimal
    company_fen: int


@dataclass(frozen=True)
class ItemEvidence:
    """What one line item stands on."""

    position: int
    kind: Literal["metered", "shared"]
    parts: tuple[PartEvidence, ...]
    statement: Statement | None


@dataclass(frozen=True)
class BillEvidence:
    """A whole bill opened; `tariff_text` is the tariff as canonical JSON, empty for shares."""

    bill_id: str
    period: str
    total_fen: int
    items: tuple[ItemEvidence, ...]
    tariff_hash: str
    tariff_text: str


def evidence_of(connection: Connection, bill_id: str) -> BillEvidence:
    """Return what a bill stands on; NotFoundError if there is no such bill."""
    bill = connection.execute(select(bills).where(bills.c.id == bill_id)).one_or_none()
    if bill is None:
        message = f"bill {bill_id!r} is unknown"
        raise NotFoundError(message)
    rows = connection.execute(
        select(line_items.c.position, line_items.c.segment)
        .where(line_items.c.bill_id == bill_id)
        .order_by(line_items.c.position)
    ).all()
    segments = json.loads(bill.inputs)
    opened: dict[int, tuple[PartEvidence, ...]] = {}
    items: list[ItemEvidence] = []
    for position, place in rows:
        stored = segments[place] if place < len(segments) else {}
        if "pool" in stored:
            statement, parts = _statement(connection, stored["pool"], bill.period, bill.premise_id)
            items.append(ItemEvidence(position, "shared", parts, statement))
            continue
        if place not in opened:
            opened[place] = _parts(connection, stored.get("parts", []))
        items.append(ItemEvidence(position, "metered", opened[place], None))
    tariff = connection.scalar(
        select(tariff_texts.c.text).where(tariff_texts.c.hash == bill.tariff_hash)
    )
    return BillEvidence(
        bill_id, bill.period, bill.total_fen, tuple(items), bill.tariff_hash or "", tariff or ""
    )


def to_json(evidence: BillEvidence) -> bytes:
    """Return evidence as JSON; decimals are strings."""
    return msgspec.json.encode(evidence)


def _parts(connection: Connection, stored: list[dict[str, object]]) -> tuple[PartEvidence, ...]:
    return tuple(_part(connection, part) for part in stored)


def _part(connection: Connection, stored: Mapping[str, object]) -> PartEvidence:
    source = connection.execute(
        select(installs.c.device_id, installs.c.point).where(
            installs.c.meter_point_id == stored["meter_point"],
            installs.c.meter_id == stored["meter_id"],
        )
    ).first()
    return PartEvidence(
        str(stored["meter_point"]),
        str(stored["meter_id"]),
        (source.device_id if source else None) or "",
        (source.point if source else None) or "",
        _integer(stored["exponent"]),
        Decimal(str(stored["multiplier"])),
        _register(connection, stored["start"]),
        _register(connection, stored["end"]),
        _integer(stored["counts"]),
        Decimal(str(stored["quantity"])),
    )


def _register(connection: Connection, stored: object) -> RegisterEvidence:
    if not isinstance(stored, dict):
        message = "stored evidence is damaged: a boundary is no object"
        raise NotFoundError(message)
    return RegisterEvidence(
        stored["boundary_us"],
        stored["count"],
        stored["estimated"],
        tuple(_read(connection, read) for read in stored["reads"]),
    )


def _read(connection: Connection, stored: Mapping[str, object]) -> ReadEvidence:
    read_at_us, count = _integer(stored["read_at_us"]), _integer(stored["count"])
    channel, _, batch = str(stored["source"]).partition(":")
    if not batch:
        return ReadEvidence(read_at_us, count, "", "", 0, "", 0, "", "")
    name = bytes.fromhex(batch)
    row = Row(read_at_us, count, Quality.GOOD, name)
    sealed = telemetry.sealed_reading(connection, int(channel), row)
    place = connection.execute(
        select(envelopes).where(envelopes.c.batch_id == name).order_by(envelopes.c.received_us)
    ).first()
    gateway = connection.scalar(select(channels.c.gateway_id).where(channels.c.id == int(channel)))
    return ReadEvidence(
        read_at_us,
        count,
        words_to_hex(sealed.reading.words),
        gateway or "",
        place.lane if place else 0,
        place.epoch.hex() if place else "",
        place.seq if place else 0,
        batch,
        place.hash.hex() if place else "",
        sealed.clock_quality,
        sealed.reading.quality in DATED,
    )


def _statement(
    connection: Connection, pool_id: str, period: str, premise_id: str
) -> tuple[Statement, tuple[PartEvidence, ...]]:
    sheet, mine = sheet_of(connection, pool_id, period=period, premise_id=premise_id)
    statement = Statement(
        pool_id,
        Decimal(sheet.master),
        Decimal(sheet.subs),
        Decimal(sheet.public),
        Decimal(sheet.loss),
        Decimal(sheet.charged),
        Decimal(sheet.unit_price),
        sheet.total_fen,
        sheet.note,
        Decimal(mine.weight),
        weight_total(connection, sheet),
        mine.amount_fen,
        level=sheet.level,
        by=sheet.fallback or sheet.by,
        formula="" if sheet.fallback else sheet.formula,
        facts=dict(facts_of(mine.facts)),
        carried_in=Decimal(sheet.carried_in),
        corrected=Decimal(sheet.corrected),
        above_cap=Decimal(sheet.above_cap),
        carried_out=Decimal(sheet.carried_out),
        company_fen=sheet.company_fen,
    )
    return statement, _parts(connection, public_parts(sheet))


def _integer(value: object) -> int:
    return int(str(value))
