"""What meter points used of a period, as a run keeps it for its pools and for the next month."""

import json
from collections.abc import Sequence
from decimal import Decimal

from cloud.billing.drafts import Closing, Use
from cloud.billing.evidence_parts import parts_of
from cloud.metering.registers import Consumption, sum_of
from cloud.metering.service import Span
from cloud.metering.true_up import is_open


def use_of(meter_point_id: str, span: Span, found: Sequence[Consumption]) -> Use:
    """Return what a meter point used, from the consumptions that make up a span."""
    parts = [part for each in found for part in parts_of({meter_point_id: each})]
    return Use(
        f"{sum_of([each.quantity for each in found]):f}",
        any(each.estimated for each in found),
        json.dumps(parts),
        closing_of(meter_point_id, span, found),
    )


def measured_of(use: Use) -> Decimal:
    """Return what the registers say of the span itself, without a true-up 退补 of earlier ones."""
    return sum_of([Decimal(str(part["quantity"])) for part in json.loads(use.parts)])


def bare_parts(use: Use) -> list[dict[str, object]]:
    """Return the evidence of a use without its true-up."""
    parts: list[dict[str, object]] = json.loads(use.parts)
    return [{key: part[key] for key in part if key != "true_up"} for part in parts]


def closing_of(meter_point_id: str, span: Span, found: Sequence[Consumption]) -> Closing:
    """Return what is billed of a span, from the consumptions that make it up."""
    return Closing(
        meter_point_id,
        span.start_us,
        span.end_us,
        f"{sum_of([each.quantity for each in found]):f}",
        is_open(found[-1]),
        " ".join(sorted({rule for each in found for rule in each.rules})),
    )
