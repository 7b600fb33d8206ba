"""Alerts from what was delivered: the outbox in order, silence and nights by the clock."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from time import time_ns

from sqlalchemy import Connection, select

from cloud.alerts import repository
from cloud.alerts.repository import EVENT_SEVERITIES, Cause, GatewayHeard, Rule
from cloud.alerts.rules import (
    NightFlow,
    Threshold,
    ThresholdState,
    cross,
    device_silent,
    gateway_silent,
    night_flow,
)
from cloud.commands import service as commands
from cloud.ingest import clock_repository as clocks
from cloud.ingest import repository as ingest
from cloud.ingest.limits import YEAR_2000_US, good_rows
from cloud.ingest.repository import Delivered
from cloud.proofs import service as proofs
from cloud.sites.tables import channels, gateways
from cloud.sites.zones import zone_of
from cloud.telemetry import repository as telemetry
from protocols.delivery import batch
from protocols.delivery.records import Event, Quality, Reading, instant, microseconds
from protocols.errors import WireError

HandOn = Callable[[Connection, Sequence[Delivered]], None]

GROUP = 64
NIGHT = (time(1), time(5))
_AHEAD_US = 3_600_000_000


def consume_outbox(
    connection: Connection, *, trust_first_key: bool = False, hand_on: HandOn | None = None
) -> int:
    """Look at the oldest stored batches, raise and clear thresholds; return how many there were.

    `hand_on` gets them in the same transaction: who else has to look at them.
    """
    taken = ingest.take_outbox(connection, GROUP)
    if hand_on is not None:
        hand_on(connection, taken)
    watched = [rule for rule in repository.rules(connection) if rule.kind == "threshold"]
    points = {rule.point for rule in watched}
    remembered = repository.states(connection, "threshold:") if taken else {}
    owners = {item.id: item.project_id for item in repository.gateways_heard(connection)}
    changed: dict[str, tuple[int | None, bool]] = {}
    for item in taken:
        gateway = item.gateway_id
        try:
            decoded = batch.decode(item.payload)
            series = [
                (columns, good_rows(columns))
                for columns in ingest.stored_series(connection, item.batch_id, decoded)
                if columns.point in points
            ]
        except WireError:
            continue  # in quarantine; there is nothing to look at
        for event in decoded.events:
            _tell(connection, owners.get(gateway), gateway, event)
            commands.hear(connection, gateway, event, time_ns() // 1000)
            proofs.hear(connection, gateway, item.batch_id, event, trust_first_key=trust_first_key)
        for columns, readings in series:
            for rule in watched:
                if rule.project_id != owners.get(gateway):
                    continue
                if rule.point == columns.point and rule.watches(columns.device):
                    _watch(connection, rule, gateway, readings, remembered, changed)
    repository.save_states(connection, changed)
    ingest.drop_outbox(connection, [item.id for item in taken])
    return len(taken)


def watch_silence(connection: Connection, now_us: int) -> None:
    """Raise one alert for a silent gateway, or one for each device that is silent by itself."""
    heard = repository.gateways_heard(connection)
    silent = {item.id for item in heard if gateway_silent(item.last_seen_us, now_us)}
    for item in heard:
        cause = Cause(item.project_id, "gateway_offline", "critical", f"gateway:{item.id}", item.id)
        if item.id in silent:
            detail = {"since_us": item.last_seen_us}
            repository.raise_alert(connection, cause, detail, now_us)
        else:
            repository.clear_alert(connection, cause.key, now_us)
    _watch_clocks(connection, heard, now_us)
    devices = repository.heard(connection)
    newest: dict[str, int] = {}
    for device in devices:
        if device.newest_us is not None:
            held = newest.get(device.gateway_id, 0)
            newest[device.gateway_id] = max(held, device.newest_us)
    open_now = repository.open_causes(connection, "device_offline")
    for device in devices:
        key = f"device:{device.device_id}"
        mute = device.gateway_id in newest and device_silent(
            device.newest_us, newest[device.gateway_id], device.period_s
        )
        if mute and key not in open_now:
            cause = Cause(
                device.project_id,
                "device_offline",
                "warning",
                key,
                device.gateway_id,
                device.device_id,
            )
            repository.raise_alert(connection, cause, {"since_us": device.newest_us}, now_us)
        elif not mute and key in open_now:
            repository.clear_alert(connection, key, now_us)


def _watch_clocks(connection: Connection, heard: list[GatewayHeard], now_us: int) -> None:
    undated = clocks.waiting(connection)
    open_now = repository.open_causes(connection, "clock_uncertain")
    for item in heard:
        key = f"clock:{item.id}"
        if item.id in undated and key not in open_now:
            cause = Cause(item.project_id, "clock_uncertain", "warning", key, item.id)
            repository.raise_alert(connection, cause, {"count": undated[item.id]}, now_us)
        elif item.id not in undated and key in open_now:
            repository.clear_alert(connection, key, now_us)


def watch_nights(connection: Connection, now_us: int) -> None:
    """Judge the last whole night of every water meter that a rule watches, once."""
    for rule in repository.rules(connection):
        if rule.kind == "night_flow":
            _watch_night(connection, rule, now_us)


def _tell(connection: Connection, project: str | None, gateway: str, event: Event) -> None:
    severity = EVENT_SEVERITIES.get(event.kind)
    if severity is None or project is None:
        return
    # it happened and does not end by itself: whoever acknowledges it closes it
    key = f"{event.kind}:{gateway}:{event.device}"
    cause = Cause(project, event.kind, severity, key, gateway, event.device or None)
    # a gateway without a battery-backed clock may tell of 1970, or of years to come
    now_us = time_ns() // 1000
    believable = YEAR_2000_US <= event.at_us <= now_us + _AHEAD_US
    repository.raise_alert(connection, cause, event.body, event.at_us if believable else now_us)


def _watch(
    connection: Connection,
    rule: Rule,
    gateway: str,
    readings: list[Reading],
    remembered: dict[str, tuple[int | None, bool]],
    changed: dict[str, tuple[int | None, bool]],
) -> None:
    threshold = Threshold(Decimal(rule.raise_at), Decimal(rule.clear_at), rule.duration_s)
    for reading in readings:
        if reading.value is None or reading.quality != Quality.GOOD:
            continue
        key = f"threshold:{rule.id}:{reading.device}"
        since, active = changed.get(key) or remembered.get(key) or (None, False)
        state, change = cross(
            threshold, ThresholdState(since, active), reading.read_at_us, reading.value
        )
        if (state.since_us, state.active) != (since, active):
            changed[key] = (state.since_us, state.active)
        if change == "clear":
            repository.clear_alert(connection, key, reading.read_at_us)
        elif change == "raise":
            cause = Cause(
                rule.project_id, rule.kind, rule.severity, key, gateway, reading.device, rule.id
            )
            detail = {
                "value": f"{reading.value:f}",
                "limit": rule.raise_at,
                "uom": reading.uom,
                "point": reading.point,
            }
            repository.raise_alert(connection, cause, detail, reading.read_at_us)


def _watch_night(connection: Connection, rule: Rule, now_us: int) -> None:
    zone = zone_of(connection, rule.project_id)
    local = instant(now_us).astimezone(zone)
    night_on = local.date() if local.time() >= NIGHT[1] else local.date() - timedelta(days=1)
    start_us, end_us = (
        microseconds(datetime.combine(night_on, at, zone).astimezone(UTC)) for at in NIGHT
    )
    remembered = repository.states(connection, f"night:{rule.id}:")
    changed: dict[str, tuple[int | None, bool]] = {}
    query = (
        select(channels)
        .join(gateways, gateways.c.id == channels.c.gateway_id)
        .where(channels.c.point == rule.point, gateways.c.project_id == rule.project_id)
    )
    for channel in connection.execute(query).all():
        key = f"night:{rule.id}:{channel.device_id}"
        judged_us, active = remembered.get(key, (None, False))
        if not rule.watches(channel.device_id) or judged_us == end_us:
            continue
        counts = _hourly_counts(connection, channel.id, start_us, end_us)
        if not counts:
            continue
        hourly = [Decimal(count).scaleb(channel.exponent) for count in counts]
        limits = NightFlow(Decimal(rule.raise_at), Decimal(rule.clear_at))
        change = night_flow(limits, hourly, active=active)
        changed[key] = (end_us, (active or change == "raise") and change != "clear")
        if change == "clear":
            repository.clear_alert(connection, key, now_us)
        elif change == "raise":
            cause = Cause(
                rule.project_id,
                rule.kind,
                rule.severity,
                key,
                channel.gateway_id,
                channel.device_id,
                rule.id,
            )
            detail = {
                "flow": f"{min(hourly):f}",
                "limit": rule.raise_at,
                "night": f"{night_on:%Y-%m-%d}",
            }
            repository.raise_alert(connection, cause, detail, end_us)
    repository.save_states(connection, changed)


def _hourly_counts(connection: Connection, channel: int, start_us: int, end_us: int) -> list[int]:
    # an hour's consumption is known when this hour and the next have a first read
    hours = {
        item.hour: item.first
        for item in telemetry.hours_between(connection, channel, start_us, end_us + 3_600_000_000)
    }
    return [
        following - first
        for hour, first in sorted(hours.items())
        if first is not None and (following := hours.get(hour + 1)) is not None
    ]
