"""Alert rules as pure functions: thresholds with hysteresis and duration, silence, night flow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

SECOND_US = 1_000_000
SILENT_PERIODS = 3
GRACE_S = 30
GATEWAY_SILENT_S = 150

Change = Literal["raise", "clear"]


@dataclass(frozen=True)
class Threshold:
    """Raise when a value stays at or above `raise_at` for the duration; clear below `clear_at`."""

    raise_at: Decimal
    clear_at: Decimal
    duration_s: int


@dataclass(frozen=True)
class ThresholdState:
    """Since when the value has been above, and whether that has been told."""

    since_us: int | None = None
    active: bool = False


def cross(
    rule: Threshold, state: ThresholdState, at_us: int, value: Decimal
) -> tuple[ThresholdState, Change | None]:
    """Return the state after a value, and what to tell."""
    if state.active:
        if value < rule.clear_at:
            return ThresholdState(), "clear"
        return state, None
    if value < rule.raise_at:
        return ThresholdState(), None
    since = at_us if state.since_us is None else state.since_us
    if at_us - since >= rule.duration_s * SECOND_US:
        return ThresholdState(since, active=True), "raise"
    return replace(state, since_us=since), None


def gateway_silent(last_seen_us: int | None, now_us: int) -> bool:
    """Say whether a gateway that was once heard has fallen silent."""
    return last_seen_us is not None and now_us - last_seen_us > GATEWAY_SILENT_S * SECOND_US


def device_silent(newest_us: int | None, gateway_newest_us: int, period_s: int) -> bool:
    """Say whether a device missed three polls while its gateway went on reading others.

    Both instants are times of reading, so a gateway that catches up raises nothing.
    """
    if newest_us is None:
        return False
    return gateway_newest_us - newest_us > (SILENT_PERIODS * period_s + GRACE_S) * SECOND_US


@dataclass(frozen=True)
class NightFlow:
    """A leak: in no hour of the night did the flow fall below `raise_at` m3/h."""

    raise_at: Decimal
    clear_at: Decimal


def night_flow(rule: NightFlow, hourly: Sequence[Decimal], *, active: bool) -> Change | None:
    """Judge one night by its hours' consumption in m3; too few hours say nothing."""
    if len(hourly) < 3:  # noqa: PLR2004 - the quietest of at least three hours
        return None
    quietest = min(hourly)
    if not active and quietest >= rule.raise_at:
        return "raise"
    if active and quietest < rule.clear_at:
        return "clear"
    return None
