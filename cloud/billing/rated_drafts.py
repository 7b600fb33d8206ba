"""A rated usage as a draft: printed rows, and the inputs that anybody can rate again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from cloud.billing.drafts import Closing, Draft, Item
from cloud.billing.evidence_parts import EvidencePart
from cloud.billing.repository import Household
from cloud.billing.tariff_book import Chosen
from cloud.metering.registers import sum_of
from cloud.money import decimals_of, scaled
from cloud.tariffs.line_items import LineItem
from cloud.tariffs.rating import Rated
from cloud.tariffs.usage import Usage


@dataclass(frozen=True)
class Segment:
    """Days rated by one version of a tariff; `quantity` is None for what is not metered.

    `shares` are of meter points that others pay for, too: this account's weight, and all of them.
    """

    chosen: Chosen
    usage: Usage
    rated: Rated
    quantity: Decimal | None = None
    parts: Sequence[EvidencePart] = ()
    estimated: bool = False
    shares: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)


def draft_of(
    home: Household,
    service: str,
    period: str,
    segments: Sequence[Segment],
    *,
    closings: Sequence[Closing] = (),
) -> Draft:
    """Return the draft of rated segments of a charge item, in order of their days."""
    last = segments[-1]
    quantities = [segment.quantity for segment in segments if segment.quantity is not None]
    return Draft(
        account_id=home.account_id,
        premise_id=home.premise_id,
        holder=home.holder,
        service=service,
        period=period,
        from_on=segments[0].usage.from_on,
        to_on=last.usage.to_on,
        total_fen=sum(segment.rated.total_fen for segment in segments),
        inputs=json.dumps(
            [inputs_of(segment) for segment in segments], ensure_ascii=False, sort_keys=True
        ),
        items=tuple(
            _item(place, item)
            for place, segment in enumerate(segments)
            for item in segment.rated.line_items
        ),
        tariff_id=last.chosen.tariff.id,
        tariff_hash=last.chosen.hash,
        quantity=f"{sum_of(quantities):f}" if quantities else None,
        carried=f"{last.rated.carried_quantity:f}",
        estimated=any(segment.estimated for segment in segments),
        closings=tuple(closings),
    )


def inputs_of(segment: Segment) -> dict[str, object]:
    """Return all that a segment was rated from, as JSON values; decimals are text.

    `hours` are counts of 10**exponent by the hour: from the first instant of from_on to that of
    to_on, cut at each whole hour.
    """
    usage = segment.usage
    premise, invoice = usage.premise, usage.invoice
    return {
        "tariff_hash": segment.chosen.hash,
        "from_on": usage.from_on.isoformat(),
        "to_on": usage.to_on.isoformat(),
        "quantity": None if segment.quantity is None else f"{segment.quantity:f}",
        "hours": _hours(usage),
        "used_before": f"{usage.used_before:f}",
        "carried_before": f"{usage.carried_before:f}",
        "held_from": usage.held_from.isoformat() if usage.held_from else None,
        "premise": {
            "area_m2": None if premise.area_m2 is None else f"{premise.area_m2:f}",
            "people": premise.people,
            "households": premise.households,
            "floor": premise.floor,
            "vehicles": premise.vehicles,
        },
        "invoice": None
        if invoice is None
        else {"amount": f"{invoice.amount:f}", "quantity": f"{invoice.quantity:f}"},
        "parts": list(segment.parts),
        **_shares(segment),
    }


def _shares(segment: Segment) -> dict[str, object]:
    if not segment.shares:
        return {}
    shares = {name: [f"{weight:f}" for weight in pair] for name, pair in segment.shares.items()}
    return {"shares": shares}


def _hours(usage: Usage) -> dict[str, object] | None:
    if usage.intervals is None:
        return None
    exponent = min(decimals_of(hour.quantity) for hour in usage.intervals)
    counts = [scaled(hour.quantity, exponent) for hour in usage.intervals]
    return {"exponent": exponent, "counts": counts}


def _item(segment: int, item: LineItem) -> Item:
    return Item(
        segment,
        item.code,
        item.description,
        item.description_en,
        f"{item.quantity:f}",
        item.uom,
        f"{item.unit_price:f}",
        item.amount_fen,
        item.formula,
    )
