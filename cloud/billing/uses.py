"""What meter points used of a period, as a run keeps it for its pools and for the next month."""

import json
from collections.abc import Sequence

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
