"""A variant: what one edition of a model has at other addresses or in another order."""

import json
from collections.abc import Mapping

from pydantic import Field, JsonValue

from devices.data_point import (
    Address,
    Bits,
    DecimalText,
    Forbidden,
    Function,
    Multiplier,
    ValueRange,
)
from devices.fingerprint import Fingerprint
from devices.yaml_file import Strict
from protocols.modbus.registers import RegisterType, WordOrder


class PointChange(Strict):
    """The keys of a data point that differ; the others stay."""

    address: Address | None = None
    type: RegisterType | None = None
    uom: str | None = None
    resolution: DecimalText | None = None
    function: Function | None = None
    word_order: WordOrder | None = None
    scale: DecimalText | None = None
    billing: bool | None = None
    multiply_by: tuple[Multiplier, ...] | None = None
    read_alone: bool | None = None
    sentinels: tuple[Bits, ...] | None = None
    range: ValueRange | None = None
    note: str | None = None


class Variant(Strict):
    """Named overrides of a profile, chosen by `variant:` on a device of the gateway file."""

    note: str = Field(min_length=1, description="Which meters these are, and how one tells.")
    function: Function | None = None
    word_order: WordOrder | None = None
    forbidden: tuple[Forbidden, ...] | None = None
    fingerprint: Fingerprint | None = None
    points: dict[str, PointChange] = {}
    without: tuple[str, ...] = Field(default=(), description="Points that these meters lack.")


def applied(base: str, variant: Variant) -> str:
    """A profile's JSON with a variant's overrides; ValueError for a point it does not have."""
    changed: dict[str, JsonValue] = json.loads(base)
    points = changed["points"]
    if not isinstance(points, dict):
        message = "points: must be a mapping"
        raise TypeError(message)
    for point_id in (*variant.points, *variant.without):
        if point_id not in points:
            message = f"point {point_id!r}: allowed are {', '.join(points)}"
            raise ValueError(message)
    overrides: Mapping[str, JsonValue] = json.loads(
        variant.model_dump_json(exclude_unset=True, exclude={"note", "points", "without"})
    )
    changed |= overrides
    changed["points"] = {
        point_id: _merged(point, variant.points.get(point_id))
        for point_id, point in points.items()
        if point_id not in variant.without
    }
    return json.dumps(changed)


def _merged(point: JsonValue, change: PointChange | None) -> JsonValue:
    if change is None or not isinstance(point, dict):
        return point
    differs: Mapping[str, JsonValue] = json.loads(change.model_dump_json(exclude_unset=True))
    return {**point, **differs}
