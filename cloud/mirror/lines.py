"""Readings as lines of InfluxDB's line protocol, exact and in posts of bounded size: pure."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from protocols.delivery.records import Quality

MOST_LINES: Final = 5_000
MOST_BYTES: Final = 1 << 20
# nanoseconds in 64 bits end in 2262
LAST_US: Final = ((1 << 63) - 1) // 1000

# what a uom measures; the uom itself is a tag
_QUANTITIES: Final = {
    "kWh": "energy",
    "Wh": "energy",
    "kvarh": "reactive_energy",
    "W": "power",
    "kW": "power",
    "var": "reactive_power",
    "VA": "apparent_power",
    "V": "voltage",
    "A": "current",
    "Hz": "frequency",
    "": "ratio",
    "m3": "volume",
    "L": "volume",
    "m3/h": "flow",
    "degC": "temperature",
    "deg": "angle",
    "MPa": "pressure",
    "m/s": "speed",
    "s": "duration",
}
_OTHER: Final = "reading"
# line protocol cannot hold a line end nor a backslash before its separators
_ENCODED: Final = {code: f"%{code:02X}" for code in (*range(32), 127, ord("\\"), ord("%"))}
_ESCAPED: Final = str.maketrans(_ENCODED | {ord(mark): f"\\{mark}" for mark in ",= "})
_QUALITIES: Final = {int(quality): quality.name.lower() for quality in Quality}


class Series(NamedTuple):
    """What a reading is of; these are the tags, and they name no person."""

    project: str
    gateway: str
    device: str
    point: str
    uom: str


class Sample(msgspec.Struct, frozen=True, gc=False):
    """A dated value: `count` x 10**`exponent` in the uom of its series."""

    series: Series
    exponent: int
    count: int
    quality: int
    read_at_us: int


def quantity(uom: str) -> str:
    """Return the measurement that readings in a uom are kept under."""
    return _QUANTITIES.get(uom, _OTHER)


def encode(samples: Iterable[Sample]) -> list[bytes]:
    """Return a line for each sample, without its end; what no 64 bits of nanoseconds hold, none."""
    return [
        (
            f"{_head(item.series, item.quality)}{_value(item.count, item.exponent)}"
            f" {item.read_at_us}000"
        ).encode()
        for item in samples
        if 0 < item.read_at_us <= LAST_US
    ]


def posts(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines as bodies of up to MOST_LINES lines and MOST_BYTES."""
    body: list[bytes] = []
    size = 0
    for line in lines:
        if body and (len(body) == MOST_LINES or size + len(line) + 1 > MOST_BYTES):
            yield b"\n".join(body)
            body, size = [], 0
        body.append(line)
        size += len(line) + 1
    if body:
        yield b"\n".join(body)


@lru_cache(maxsize=65_536)
def _head(series: Series, quality: int) -> str:
    # sorted by key, as servers like it; a tag that is empty must not be there
    tags = {
        "device": series.device,
        "gateway": series.gateway,
        "point": series.point,
        "project": series.project,
        "quality": _QUALITIES.get(quality, str(quality)),
        "uom": series.uom,
    }
    told = ",".join(f"{key}={text.translate(_ESCAPED)}" for key, text in tags.items() if text)
    return f"{quantity(series.uom)},{told} value="


def _value(count: int, exponent: int) -> str:
    if exponent >= 0:
        return f"{count}{'0' * exponent}" if count else "0"
    digits = f"{abs(count):0{1 - exponent}d}"
    sign = "-" if count < 0 else ""
    return f"{sign}{digits[:exponent]}.{digits[exponent:]}"
