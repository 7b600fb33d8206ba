"""All SQL of commands and their trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, update

from cloud.alerts import repository as alerts
from cloud.commands.states import State
from cloud.commands.tables import command_steps, commands
from cloud.errors import NotFoundError
from cloud.sites.tables import devices, gateways
from protocols.commands import Action


@dataclass(frozen=True)
class Asked:
    """A command as it is on file; `said` is codes of refusal, or the gateway's words."""

    id: str
    project_id: str
    gateway_id: str
    target: str
    action: Action
    pulse_ms: int
    dry_run: bool
    asked_by: str
    why: str
    asked_us: int
    confirmed_by: str | None
    state: State
    counter: int | None
    nonce: str | None
    expires_us: int | None
    said: str
    changed_us: int


@dataclass(frozen=True)
class TrailStep:
    """One line of a command's trail."""

    state: str
    by: str
    said: str
    at_us: int


@dataclass(frozen=True)
class Session:
    """A gateway's last HELLO: its nonce, and when the cloud took it."""

    nonce: str
    hello_us: int


def gateway_of(connection: Connection, project_id: str, device_id: str) -> str:
    """Return the gateway of a project's device; NotFoundError."""
    query = select(devices.c.gateway_id).where(
        devices.c.id == device_id, devices.c.project_id == project_id
    )
    found: str | None = connection.scalar(query)
    if found is None:
        message = f"device {device_id!r} is unknown"
        raise NotFoundError(message)
    return found


def check_gateway(connection: Connection, project_id: str, gateway_id: str) -> None:
    """NotFoundError if the project has no such gateway."""
    query = select(gateways.c.id).where(
        gateways.c.id == gateway_id, gateways.c.project_id == project_id
    )
    if connection.scalar(query) is None:
        message = f"gateway {gateway_id!r} is unknown"
        raise NotFoundError(message)


def lock_gateway(connection: Connection, gateway_id: str) -> Session | None:
    """Return a gateway's session, None before its first HELLO; one command at a time for each."""
    query = select(gateways.c.hello_nonce, gateways.c.hello_us).where(gateways.c.id == gateway_id)
    row = connection.execute(query.with_for_update(key_share=True)).one()
    return None if not row.hello_nonce else Session(row.hello_nonce, row.hello_us)


def is_clone_suspected(connection: Connection, gateway_id: str) -> bool:
    """Say whether an alert of a fenced epoch of this gateway is open."""
    return alerts.clone_cause(gateway_id) in alerts.open_causes(connection, alerts.CLONE_SUSPECT)


def last_counter(connection: Connection, gateway_id: str) -> int:
    """Return the highest counter that a gateway was sent, 0 for none."""
    query = select(func.max(commands.c.counter)).where(commands.c.gateway_id == gateway_id)
    return connection.scalar(query) or 0


def add(connection: Connection, asked: Asked) -> None:
    """Put a command on file with the first line of its trail."""
    connection.execute(commands.insert().values(**vars(asked)))
    _add_step(connection, asked.id, asked.state, asked.asked_by, asked.why, asked.asked_us)


def change(
    connection: Connection,
    command_id: str,
    state: State,
    *,
    by: str,
    said: str,
    at_us: int,
    **values: str | int | None,
) -> None:
    """Move a command on, and say so in its trail."""
    connection.execute(
        update(commands)
        .where(commands.c.id == command_id)
        .values(state=state, said=said, changed_us=at_us, **values)
    )
    _add_step(connection, command_id, state, by, said, at_us)


def note(connection: Connection, command_id: str, *, by: str, said: str, at_us: int) -> None:
    """Add a line to a trail that changes nothing."""
    _add_step(connection, command_id, "taken", by, said, at_us)


def find(connection: Connection, command_id: str, *, lock: bool = False) -> Asked | None:
    """Return a command, None if there is none."""
    query = select(commands).where(commands.c.id == command_id)
    found = connection.execute(query.with_for_update() if lock else query)
    row = found.mappings().one_or_none()
    return None if row is None else _asked(row)


def command_of(
    connection: Connection, project_id: str, command_id: str, *, lock: bool = False
) -> Asked:
    """Return a project's command; NotFoundError."""
    found = find(connection, command_id, lock=lock)
    if found is None or found.project_id != project_id:
        message = f"command {command_id!r} is unknown"
        raise NotFoundError(message)
    return found


def commands_of(
    connection: Connection,
    project_id: str,
    *,
    states: Sequence[State] = (),
    target: str | None = None,
    offset: int = 0,
    limit: int,
) -> list[Asked]:
    """Return commands, the newest first."""
    query = select(commands).where(commands.c.project_id == project_id)
    if states:
        query = query.where(commands.c.state.in_(states))
    if target is not None:
        query = query.where(commands.c.target == target)
    query = query.order_by(commands.c.asked_us.desc(), commands.c.id).offset(offset).limit(limit)
    return [_asked(row) for row in connection.execute(query).mappings()]


def count(connection: Connection, project_id: str) -> int:
    """Return how many commands a project has."""
    query = select(func.count()).where(commands.c.project_id == project_id)
    return connection.scalar(query) or 0


def unended(connection: Connection) -> list[Asked]:
    """Return commands that still wait for something."""
    waiting = (State.ASKED, State.WAITING, State.SENT)
    query = select(commands).where(commands.c.state.in_(waiting)).order_by(commands.c.id)
    return [_asked(row) for row in connection.execute(query).mappings()]


def trail(connection: Connection, command_id: str) -> list[TrailStep]:
    """Return what happened to a command, in order."""
    query = select(command_steps).where(command_steps.c.command_id == command_id)
    return [
        TrailStep(row.state, row.by, row.said, row.at_us)
        for row in connection.execute(query.order_by(command_steps.c.id))
    ]


def _add_step(
    connection: Connection, command_id: str, state: str, by: str, said: str, at_us: int
) -> None:
    connection.execute(
        command_steps.insert().values(
            command_id=command_id, state=state, by=by, said=said, at_us=at_us
        )
    )


def _asked(row: RowMapping) -> Asked:
    values: dict[str, Any] = {str(key): value for key, value in row.items()}
    return Asked(**values | {"action": Action(row["action"]), "state": State(row["state"])})
