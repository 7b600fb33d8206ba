"""What chart.js draws: one JSON document per chart, put into the page as inert data."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from cloud.web.usage_queries import Sample, Usage


class Gap(msgspec.Struct, frozen=True):
    """A stretch without reads, in milliseconds, and what was used in all of it."""

    start: int
    end: int
    quantity: str | None


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart; points are [milliseconds, value or null], numbers are decimal strings."""

    kind: Literal["line", "bar"]
    uom: str
    step: Literal["minute", "hour", "day"]
    points: list[tuple[int, str | None]]
    end: int
    partial: bool = False
    gaps: list[Gap] = []
    limit: str | None = None
    limit_name: str = ""

    def json(self) -> str:
        """Return the document, safe inside a script element of HTML."""
        text = msgspec.json.encode(self).decode()
        return text.replace("<", "\\u003c").replace("&", "\\u0026")


def bars(usage: Usage, uom: str, *, step: Literal["hour", "day"]) -> Chart:
    """Return consumption as bars; hours and days that have not begun are left empty."""
    return Chart(
        kind="bar",
        uom=uom,
        step=step,
        points=[(_ms(bar.start_us), _text(bar.quantity)) for bar in usage.bars],
        end=_ms(usage.bars[-1].end_us),
        partial=any(bar.partial and bar.quantity is not None for bar in usage.bars),
        gaps=[Gap(_ms(gap.start_us), _ms(gap.end_us), _text(gap.quantity)) for gap in usage.gaps],
    )


def line(
    samples: Sequence[Sample],
    uom: str,
    *,
    end_us: int,
    limit: Decimal | None = None,
    limit_name: str = "",
) -> Chart:
    """Return a curve of means, with a threshold if there is one."""
    return Chart(
        kind="line",
        uom=uom,
        step="minute",
        points=[(_ms(sample.at_us), _text(sample.value)) for sample in samples],
        end=_ms(end_us),
        limit=_text(limit),
        limit_name=limit_name,
    )


def _ms(at_us: int) -> int:
    return at_us // 1000


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
