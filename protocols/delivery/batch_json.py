"""A batch as people read it: the same records in JSON, one line per series and event."""

from typing import Final

import msgspec

from protocols.delivery import batch
from protocols.delivery.batch import ClockQuality, Columns, Payload, Replaced
from protocols.delivery.records import Event, decimal_text, instant
from protocols.errors import WireError

_LAST_US: Final = 253_370_764_800_000_000


class _Series(msgspec.Struct, frozen=True, kw_only=True):
    """One series; `values` and `times` are for the reader, the columns are what is read back."""

    device: str
    point: str
    uom: str
    exponent: int
    values: list[str | None]
    times: list[str | None]
    columns: Columns


class _Replaced(msgspec.Struct, frozen=True):
    """What is kept of an earlier batch, whose id is `batch_id` in hexadecimal."""

    batch_id: str
    series: list[_Series]


class _Batch(msgspec.Struct, frozen=True):
    """`clock_quality` is for the reader, and not read back."""

    version: int
    clock_quality: ClockQuality
    seed: bytes
    series: list[_Series]
    events: list[Event]
    replaces: list[_Replaced] = []


def to_json(payload: bytes) -> bytes:
    """Return a sealed batch as indented JSON; WireError if its bytes are nonsense."""
    decoded = batch.decode(payload)
    readable = _Batch(
        decoded.version,
        batch.clock_quality(decoded),
        decoded.seed,
        [_series(columns) for columns in decoded.series],
        decoded.events,
        [
            _Replaced(item.batch_id.hex(), [_series(columns) for columns in item.series])
            for item in decoded.replaces
        ],
    )
    return msgspec.json.format(msgspec.json.encode(readable), indent=1)


def from_json(text: bytes) -> Payload:
    """Return what a batch in JSON holds; WireError if it is none."""
    try:
        readable = msgspec.json.decode(text, type=_Batch)
        replaces = [
            Replaced(bytes.fromhex(item.batch_id), [each.columns for each in item.series])
            for item in readable.replaces
        ]
    except (msgspec.DecodeError, ValueError) as error:
        message = f"{len(text)} bytes are no batch in JSON: {error}"
        raise WireError(message) from error
    series = [each.columns for each in readable.series]
    return Payload(readable.version, readable.seed, series, readable.events, replaces)


def _series(columns: Columns) -> _Series:
    rows = batch.readings(columns)
    return _Series(
        device=columns.device,
        point=columns.point,
        uom=columns.uom,
        exponent=columns.exponent,
        values=[decimal_text(row.count, row.exponent) for row in rows],
        times=[
            instant(row.read_at_us).isoformat() if 0 <= row.read_at_us < _LAST_US else None
            for row in rows
        ],
        columns=columns,
    )
