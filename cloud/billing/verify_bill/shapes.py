"""Which fields a bundle, a tariff and a proof have: what is not known here is refused."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from .values import DiffersError, Doc, among, no_float, same

Choices = Mapping[str, tuple[object, ...]]

# what a tariff may say where it chooses; another word would be computed as if it were one of these
_CHOICES: Final[Choices] = {
    "rounding": ("line", "component", "once"),
    "price_source": ("tariff", "invoice"),
    "split_rule": (None, "by-time", "pro-rata"),
    "missing_end": ("hold", "estimate"),
}
_TIER_CHOICES: Final[Choices] = {
    "period": ("day", "month", "season", "year"),
    "part": ("whole", "by-day", "by-month"),
    "per_household": (False, True),
}
_ALLOWANCE_CHOICES: Final[Choices] = {"per": ("month", "year"), "each": (False, True)}
_CHARGE_CHOICES: Final[Choices] = {
    "per": ("day", "month", "season", "year"),
    "by": ("premise", "household", "head", "vehicle", "area"),
    "part": ("whole", "by-day"),
}
CLAIM: Final = {"point": 1, "uom": 2, "exponent": 3, "count": 4, "quality": 5, "read_at_us": 6}


def _shape(names: str, **inner: object) -> dict[str, object]:
    return {**dict.fromkeys(names.split()), **inner}


USAGE: Final = "from_on to_on quantity time_of_use intervals used_before carried_before held_from"
_NAMED: Final = _shape("code", name=_shape("zh en"))
_EDGE: Final = _shape(
    "at_us count estimated rule",
    reads=_shape("read_at_us count source words gateway lane epoch seq batch_id lacks proof"),
)
_PART: Final = _shape(
    "meter_point meter device point uom exponent capacity multiplier counts quantity true_up",
    decoding=_shape("type order scale terms"),
    hours=_EDGE,
    start=_EDGE,
    end=_EDGE,
)
BUNDLE: Final = _shape(
    "format digest",
    bill=_shape(
        "id number account premise holder service period revision from_on to_on posted_at quantity"
        " estimated total",
        line_items=_shape(
            "segment code description description_en quantity uom unit_price amount formula"
        ),
    ),
    segments=_shape(
        "",
        tariff=_shape("sha256 text"),
        inputs=_shape(
            USAGE,
            premise=_shape("area_m2 people households floor vehicles"),
            invoice=_shape("amount quantity"),
            shares=_shape("meter_point weight weight_total"),
        ),
        parts=_PART,
        discounts=_shape("sha256 text"),
    ),
    credit=_shape("number reason total"),
    pools=_shape(
        "pool name name_en kind level by formula fallback master_point shared_points master subs"
        " public loss cap_percent carried_in corrected charged above_cap carried_out unit_price"
        " total company company_homes company_weight note weight weight_total share",
        facts=None,
        invoice=_shape("amount quantity"),
        tariff=_shape("sha256 text"),
        parts=_PART,
    ),
)
TARIFF: Final = _shape(
    "id version effective_from effective_to time_zone source verified service uom supply_kinds"
    " rounding quantity_step missing_end price_source split_rule",
    name=_shape("zh en"),
    seasons=_NAMED | _shape("first last"),
    tiers=_shape(
        "period limits limits_by_season part per_household",
        people_allowance=_shape("people_from adds per each"),
    ),
    time_of_use=_shape("holidays", periods=_NAMED | {"windows": _shape("start end seasons days")}),
    components=_NAMED | _shape("credit"),
    rates=_shape("tier period season prices total"),
    fixed_charges=_NAMED
    | _shape("per by part season price", prices_by_floor=_shape("floor price")),
    minimum_charge=_NAMED | _shape("amount"),
    maximum_charge=_NAMED | _shape("amount"),
    taxes=_NAMED | _shape("percent of"),
)
DISCOUNT: Final = _shape(
    "account at_least_months by cap from_on items plan plan_request reason request to_on value",
    name=_shape("zh en"),
)
PROOF: Final = _shape(
    "format gateway lane epoch device leaf salt signature public_key",
    reading=_shape("index", **dict.fromkeys(CLAIM)),
    path=_shape("side hash"),
    chain=_shape("seq batch_id prev_hash root payload_hash hash"),
    signed=_shape("gateway lane epoch seq hash"),
)


def tariff_of(held: Doc, path: str) -> Doc:
    """Return a tariff from its text, whose hash is checked."""
    same(f"{path}.sha256", held["sha256"], hashlib.sha256(held["text"].encode()).hexdigest())
    tariff: Doc = json.loads(held["text"], parse_float=no_float, parse_constant=no_float)
    check_shape(tariff, TARIFF, f"{path}.text")
    _check_values(tariff, f"{path}.text", _CHOICES)
    tiers = tariff["tiers"] or {}
    _check_values(tiers, f"{path}.text.tiers", _TIER_CHOICES)
    _check_values(tiers.get("people_allowance") or {}, f"{path}.text.tiers", _ALLOWANCE_CHOICES)
    for charge in tariff["fixed_charges"]:
        _check_values(charge, f"{path}.text.{charge['code']}", _CHARGE_CHOICES)
    for period in (tariff["time_of_use"] or {"periods": ()})["periods"]:
        for day in (day for window in period["windows"] for day in window["days"] or ()):
            among(f"{path}.text.{period['code']}.days", day, ("workday", "weekend", "holiday"))
    return tariff


def asked_of(tariff: Doc) -> dict[str, bool]:
    """Say which facts a tariff asks for; a bundle has no others."""
    tiers, charges = tariff["tiers"], tariff["fixed_charges"]
    counted = {charge["by"] for charge in charges}
    return {
        "area_m2": "area" in counted,
        "people": "head" in counted or bool(tiers and tiers["people_allowance"]),
        "households": "household" in counted or bool(tiers),
        "floor": any(charge["prices_by_floor"] for charge in charges),
        "vehicles": "vehicle" in counted,
        "time_of_use": bool(tariff["components"]),
        "intervals": bool(tariff["components"]),
        "used_before": bool(tiers),
        "carried_before": tariff["quantity_step"] is not None,
        "held_from": bool(tiers) and tiers["part"] != "whole",
        "invoice": tariff["price_source"] == "invoice",
    }


def check_shape(value: object, shape: object, path: str) -> None:
    """Check that objects have the fields they must have, and no others."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            check_shape(item, shape, f"{path}[{index}]")
    elif isinstance(value, dict) and isinstance(shape, dict):
        if value.keys() != shape.keys():
            odd = ", ".join(sorted(value.keys() ^ shape.keys()))
            raise DiffersError(
                f"{path or '(file)'}: fields {odd}: this program knows {', '.join(shape)}"
            )
        for key, item in value.items():
            check_shape(item, shape[key], f"{path}.{key}".lstrip("."))
    elif isinstance(shape, dict) and value is not None:
        raise DiffersError(f"{path}: found {value!r}, expected an object")


def _check_values(held: Doc, path: str, choices: Choices) -> None:
    for key, allowed in choices.items():
        if held:
            among(f"{path}.{key}", held[key], allowed)
