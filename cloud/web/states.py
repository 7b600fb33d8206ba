"""States of devices and gateways, from what is known of them."""

from typing import Final

from cloud.web.labels import STATE_ORDER

_SECOND_US: Final = 1_000_000
LATE_PERIODS: Final = 3
LATE_AT_LEAST_US: Final = 90 * _SECOND_US
GATEWAY_SILENT_US: Final = 90 * _SECOND_US
CATCHING_UP_US: Final = 180 * _SECOND_US


def late_after_us(period_s: int) -> int:
    """Return the age at which a value is late: three periods, at least a minute and a half."""
    return max(LATE_PERIODS * period_s * _SECOND_US, LATE_AT_LEAST_US)


def device_state(
    alerts: frozenset[tuple[str, str]], newest_us: int | None, *, period_s: int, now_us: int
) -> str:
    """Return a device's state; `alerts` are (kind, severity) of those open on it."""
    if any(kind == "device_offline" for kind, _ in alerts):
        return "offline"
    for severity in ("critical", "warning"):
        if any(found == severity for _, found in alerts):
            return severity
    if alerts:
        return "warning"
    if newest_us is None or now_us - newest_us > late_after_us(period_s):
        return "stale"
    return "normal"


def gateway_state(
    last_seen_us: int | None, newest_us: int | None, *, backlog: int, now_us: int
) -> str:
    """Return a gateway's state; newest_us is the newest reading that it delivered."""
    if last_seen_us is None or now_us - last_seen_us > GATEWAY_SILENT_US:
        return "offline"
    if backlog > 0 and (newest_us is None or now_us - newest_us > CATCHING_UP_US):
        return "catching_up"
    if newest_us is not None and now_us - newest_us > CATCHING_UP_US:
        return "catching_up"
    return "online"


def rank(state: str) -> int:
    """Return the place of a state where the abnormal comes first."""
    return STATE_ORDER.index(state)
