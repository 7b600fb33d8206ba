"""All SQL of alerts: rules, what they remember, raise, clear, acknowledge."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection, func, select, update

from cloud.alerts.tables import alert_rules, alert_states, alerts
from cloud.database import insert_new, upsert
from cloud.sites.tables import channels, devices, gateways
from cloud.telemetry.tables import latest

# What a gateway tells and somebody has to look at; it is over when they say so.
EVENT_SEVERITIES = MappingProxyType(
    {
        "register_fell": "warning",
        "setting_changed": "critical",
        "foreign_master": "warning",
        "possible_duplicate": "warning",
        "loss": "critical",
        "journal_damaged": "critical",
        "journal_step": "warning",
    }
)
# an epoch of a gateway was fenced: two may speak as one, and no command goes there
CLONE_SUSPECT = "clone_suspect"
# All that is over when somebody says so: also what the service finds by itself.
ENDED_BY_HAND = frozenset({*EVENT_SEVERITIES, "bad_signature", "bad_root", CLONE_SUSPECT})

Detail = Mapping[str, str | int | None]


@dataclass(frozen=True)
class Rule:
    """An alert rule as it is stored."""

    id: str
    project_id: str
    kind: str
    severity: str
    point: str
    devices: frozenset[str]
    raise_at: str
    clear_at: str
    duration_s: int

    def watches(self, device_id: str) -> bool:
        """Say whether the rule is about a device; a rule that names none is about all."""
        return not self.devices or device_id in self.devices


@dataclass(frozen=True)
class Cause:
    """What an alert is about; at most one alert per cause is open."""

    project_id: str
    kind: str
    severity: str
    key: str
    gateway_id: str | None = None
    device_id: str | None = None
    rule_id: str | None = None


@dataclass(frozen=True)
class Heard:
    """When a device was last read, and how often it should be."""

    device_id: str
    project_id: str
    gateway_id: str
    period_s: int
    newest_us: int | None


@dataclass(frozen=True)
class GatewayHeard:
    """When a gateway was last heard."""

    id: str
    project_id: str
    last_seen_us: int | None


def rules(connection: Connection) -> list[Rule]:
    """Return every rule."""
    return [
        Rule(
            row.id,
            row.project_id,
            row.kind,
            row.severity,
            row.point,
            frozenset(row.devices.split()),
            row.raise_at,
            row.clear_at,
            row.duration_s,
        )
        for row in connection.execute(select(alert_rules))
    ]


def states(connection: Connection, prefix: str = "") -> dict[str, tuple[int | None, bool]]:
    """Return what rules remember, by cause."""
    query = select(alert_states).where(alert_states.c.cause.startswith(prefix, autoescape=True))
    return {row.cause: (row.since_us, bool(row.active)) for row in connection.execute(query)}


def save_states(connection: Connection, changed: Mapping[str, tuple[int | None, bool]]) -> None:
    """Remember what rules remember."""
    rows = [
        {"cause": cause, "since_us": since, "active": int(active)}
        for cause, (since, active) in sorted(changed.items())
    ]
    upsert(connection, alert_states, rows)


def raise_alert(connection: Connection, cause: Cause, detail: Detail, at_us: int) -> None:
    """Open an alert unless one of the same cause is open."""
    row = {
        "project_id": cause.project_id,
        "cause": cause.key,
        "kind": cause.kind,
        "severity": cause.severity,
        "rule_id": cause.rule_id,
        "gateway_id": cause.gateway_id,
        "device_id": cause.device_id,
        "detail": json.dumps(detail),
        "raised_us": at_us,
    }
    insert_new(connection, alerts, [row])


def clone_cause(gateway_id: str) -> str:
    """Return what the alert of a gateway's fenced epoch is about."""
    return f"{CLONE_SUSPECT}:{gateway_id}"


def raise_clone(connection: Connection, gateway_id: str, detail: Detail, at_us: int) -> None:
    """Say that somebody may speak as a gateway who is not it."""
    project = connection.scalar(select(gateways.c.project_id).where(gateways.c.id == gateway_id))
    if project is not None:
        key = clone_cause(gateway_id)
        cause = Cause(project, CLONE_SUSPECT, "critical", key, gateway_id)
        raise_alert(connection, cause, detail, at_us)


def clear_alert(connection: Connection, key: str, at_us: int) -> None:
    """Close the open alert of a cause, if there is one."""
    connection.execute(
        update(alerts)
        .where(alerts.c.cause == key, alerts.c.cleared_us.is_(None))
        .values(cleared_us=at_us)
    )


def open_causes(connection: Connection, kind: str) -> set[str]:
    """Return the causes of the open alerts of a kind."""
    query = select(alerts.c.cause).where(alerts.c.kind == kind, alerts.c.cleared_us.is_(None))
    return set(connection.scalars(query))


def acknowledge(
    connection: Connection, alert_id: int, project_id: str, by: str, at_us: int
) -> bool:
    """Note who has seen an alert; False if there is no such alert, the first one stays noted."""
    mine = (alerts.c.id == alert_id) & (alerts.c.project_id == project_id)
    if connection.scalar(select(alerts.c.id).where(mine)) is None:
        return False
    connection.execute(
        update(alerts)
        .where(mine, alerts.c.acknowledged_us.is_(None))
        .values(acknowledged_us=at_us, acknowledged_by=by)
    )
    connection.execute(
        update(alerts)
        .where(mine, alerts.c.kind.in_(ENDED_BY_HAND), alerts.c.cleared_us.is_(None))
        .values(cleared_us=at_us)
    )
    return True


def heard(connection: Connection) -> list[Heard]:
    """Return when each device was last read."""
    query = (
        select(
            devices.c.id,
            devices.c.project_id,
            devices.c.gateway_id,
            devices.c.period_s,
            func.max(latest.c.read_at_us),
        )
        .join(
            channels,
            (channels.c.device_id == devices.c.id)
            & (channels.c.gateway_id == devices.c.gateway_id),
            isouter=True,
        )
        .join(latest, latest.c.channel_id == channels.c.id, isouter=True)
        .group_by(devices.c.id, devices.c.project_id, devices.c.gateway_id, devices.c.period_s)
    )
    return [Heard(*row) for row in connection.execute(query)]


def gateways_heard(connection: Connection) -> list[GatewayHeard]:
    """Return when each gateway was last heard."""
    query = select(gateways.c.id, gateways.c.project_id, gateways.c.last_seen_us)
    return [GatewayHeard(*row) for row in connection.execute(query)]
