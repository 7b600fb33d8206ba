"""A meter point's month rated by its tariff: the metered part of a bill run."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection

from cloud.billing import repository
from cloud.billing.repository import Holder, ServiceEntry
from cloud.metering import service as metering
from cloud.metering.registers import BoundaryRead, Consumption, Part
from cloud.metering.repository import MeterPoint
from cloud.metering.service import Span
from cloud.tariffs.files import check_billable
from cloud.tariffs.rating import Rated, rate
from cloud.tariffs.tariff import SupplyKind, Tariff
from cloud.tariffs.usage import Usage, UsageInterval

SUPPLIER_TARIFF = "cn-supplier-invoice-electricity"


@dataclass(frozen=True)
class RatedPoint:
    """What one meter point owes for a month, and what it stands on."""

    point: MeterPoint
    tariff: Tariff
    consumption: Consumption
    rated: Rated


def rate_point(
    connection: Connection,
    point: MeterPoint,
    entry: ServiceEntry,
    holder: Holder,
    *,
    span: Span,
    tariff: Tariff,
    allow_unverified: bool,
) -> RatedPoint:
    """Rate one meter point's span; RegisterError, RatingError or TariffRefusedError say why not."""
    check_billable(tariff, SupplyKind(point.supply), allow_unverified=allow_unverified)
    estimate = tariff.missing_end == "estimate"
    used = metering.consumption(connection, point.id, span, estimate_end=estimate)
    period = f"{span.from_on:%Y-%m}"
    invoice = None
    if tariff.price_source == "invoice" and point.parent_id is not None:
        invoice = repository.invoice_of(connection, point.parent_id, period)
    intervals = None
    if tariff.time_of_use is not None:
        intervals = tuple(
            UsageInterval(hour.start_at, hour.end_at, hour.quantity)
            for hour in metering.hourly(connection, point.id, span, estimate_end=estimate)
        )
    usage = Usage(
        from_on=span.from_on,
        to_on=span.to_on,
        quantity=None if intervals else used.quantity,
        intervals=intervals,
        used_before=_used_before(connection, point, entry, span, tariff),
        premise=holder.facts,
        invoice=invoice,
    )
    return RatedPoint(point, tariff, used, rate(tariff, usage))


def tariff_text(tariff: Tariff) -> tuple[str, str]:
    """Return a tariff as canonical JSON, and its SHA-256 in hex."""
    text = json.dumps(tariff.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)
    return text, hashlib.sha256(text.encode()).hexdigest()


def evidence_of_parts(parts: Mapping[str, Consumption]) -> str:
    """Return consumptions by meter point as the JSON that a line item keeps."""
    return json.dumps(
        [
            {"meter_point": meter_point, **_part(part), **_true_up(consumption, part)}
            for meter_point, consumption in sorted(parts.items())
            for part in consumption.parts
        ]
    )


def _used_before(
    connection: Connection, point: MeterPoint, entry: ServiceEntry, span: Span, tariff: Tariff
) -> Decimal:
    if tariff.tiers is None or tariff.tiers.period == "month" or point.premise_id is None:
        return Decimal(0)
    year = f"{span.from_on:%Y}"
    billed = repository.billed_between(
        connection, point.premise_id, point.service, f"{year}-01", f"{span.from_on:%Y-%m}"
    )
    imported = entry.used_before if entry.cutover_on.year == span.from_on.year else Decimal(0)
    return imported + billed


def _part(part: Part) -> dict[str, object]:
    return {
        "meter_id": part.install.meter_id,
        "exponent": part.install.exponent,
        "multiplier": str(part.install.multiplier),
        "start": _boundary(part.start),
        "end": _boundary(part.end),
        "counts": part.counts,
        "quantity": str(part.quantity),
    }


def _true_up(consumption: Consumption, part: Part) -> dict[str, object]:
    # it belongs to the whole, and is written once: at its last part
    if not consumption.true_up or part is not consumption.parts[-1]:
        return {}
    return {"true_up": f"{consumption.true_up:f}"}


def _boundary(boundary: BoundaryRead) -> dict[str, object]:
    return {
        "boundary_us": boundary.boundary_us,
        "count": boundary.count,
        "estimated": boundary.estimated,
        **({"rule": boundary.rule} if boundary.rule else {}),
        "reads": [
            {"read_at_us": read.read_at_us, "count": read.count, "source": read.source}
            for read in boundary.reads
        ],
    }
