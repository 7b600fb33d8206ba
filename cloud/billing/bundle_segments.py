"""A segment of a bill as a bundle shows it: its tariff, what it was rated from, its meters."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud.billing import verify_bill
from cloud.billing.bundle_parts import SIDES, Hours, Json, listed, mapped, parts_of
from cloud.billing.tables import tariff_texts
from cloud.errors import NotFoundError
from cloud.metering import service as metering
from cloud.metering.point_reads import HOUR_US
from cloud.metering.registers import BoundaryRead, Install, RegisterError, quantity_of
from protocols.delivery.records import instant, microseconds

_KEPT: Final = ("from_on", "to_on", "quantity", "used_before", "carried_before", "held_from")


def segment_of(connection: Connection, stored: Json, *, hours: bool) -> Json:
    """Return a segment as a bundle has it, from what was kept at billing; NotFoundError.

    Bills of before that time kept no inputs: there they are null.
    """
    tariff = tariff_of(connection, str(stored["tariff_hash"]))
    document = json.loads(str(tariff["text"])) if tariff else {}
    inputs, by_hour = None, dict[str, list[tuple[Install, list[BoundaryRead]]]]()
    if "premise" in stored and tariff:
        inputs = asked_of(document, _inputs(stored))
        if hours and inputs["intervals"] is not None:
            by_hour = _hours(connection, stored, inputs, document)
    parts = parts_of(connection, listed(stored["parts"]), hours=by_hour)
    discounts = listed(stored.get("discounts", []))
    return {"tariff": tariff, "inputs": inputs, "parts": parts, "discounts": discounts}


def tariff_of(connection: Connection, digest: str | None) -> Json | None:
    """Return a tariff's hash and text, None where no text is on file."""
    query = select(tariff_texts.c.text).where(tariff_texts.c.hash == (digest or ""))
    text = connection.scalar(query)
    return None if text is None else {"sha256": digest, "text": text}


def asked_of(tariff: Json, inputs: Json) -> Json:
    """Return inputs without what a tariff doesn't ask for: nobody need know who lives there."""
    asked = verify_bill.asked_of(tariff)
    premise = mapped(inputs["premise"])
    return {key: value if asked.get(key, True) else None for key, value in inputs.items()} | {
        "premise": {key: value if asked[key] else None for key, value in premise.items()},
    }


def _inputs(stored: Json) -> Json:
    shares = mapped(stored.get("shares", {}))
    return {key: stored[key] for key in _KEPT} | {
        "time_of_use": None,
        "intervals": _intervals(stored),
        "premise": stored["premise"],
        "invoice": stored["invoice"],
        "shares": [
            {"meter_point": name, "weight": pair[0], "weight_total": pair[1]}
            for name, pair in sorted(shares.items())
            if isinstance(pair, list)
        ],
    }


def _intervals(stored: Json) -> list[list[str]] | None:
    # kept as counts by the hour, of whole hours but where a part begins or ends
    if stored["hours"] is None:
        return None
    kept = mapped(stored["hours"])
    exponent, counts = int(str(kept["exponent"])), kept["counts"]
    spans: dict[int, tuple[int, int]] = {}
    for part in listed(stored["parts"]):
        at_us, end_us = (int(str(mapped(part[side])["boundary_us"])) for side in SIDES)
        while at_us < end_us:
            hour = at_us // HOUR_US
            until = min((hour + 1) * HOUR_US, end_us)
            first, last = spans.get(hour, (at_us, until))
            spans[hour] = min(first, at_us), max(last, until)
            at_us = until
    if not isinstance(counts, list) or len(counts) != len(spans):
        message = "stored evidence is damaged: the hours are not those of the meters"
        raise NotFoundError(message)
    return [
        [
            instant(start).isoformat(),
            instant(end).isoformat(),
            f"{Decimal(count).scaleb(exponent):f}",
        ]
        for (_, (start, end)), count in zip(sorted(spans.items()), counts, strict=True)
    ]


def _hours(
    connection: Connection, stored: Json, inputs: Json, tariff: Json
) -> dict[str, list[tuple[Install, list[BoundaryRead]]]]:
    # what they stand on is looked up anew; nothing if the reads no longer say what was billed
    from_on, to_on = (date.fromisoformat(str(stored[key])) for key in ("from_on", "to_on"))
    span = metering.days(from_on, to_on, ZoneInfo(str(tariff["time_zone"])))
    estimate = tariff["missing_end"] == "estimate"
    found: dict[str, list[tuple[Install, list[BoundaryRead]]]] = {}
    for point in sorted({str(part["meter_point"]) for part in listed(stored["parts"])}):
        try:
            found[point] = metering.hourly_registers(connection, point, span, estimate_end=estimate)
        except RegisterError:
            return {}
    return found if _say(found, inputs["intervals"]) else {}


def _say(hours: Hours, intervals: object) -> bool:
    # whether registers say what was billed of each hour; not so where a sum was spread over them
    used: dict[int, Decimal] = {}
    for install, edges in (each for found in hours.values() for each in found):
        for first, last in pairwise(edges):
            counts = last.count - first.count
            if install.capacity is not None:
                counts %= install.capacity
            hour = first.boundary_us // HOUR_US
            used[hour] = used.get(hour, Decimal(0)) + quantity_of(counts, install)
    return used == _billed(intervals if isinstance(intervals, list) else ())


def _billed(intervals: Sequence[Sequence[str]]) -> Mapping[int, Decimal]:
    return {
        microseconds(datetime.fromisoformat(start)) // HOUR_US: Decimal(quantity)
        for start, _, quantity in intervals
    }
