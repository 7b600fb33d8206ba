"""The commands `hutong-cloud gateway`: who may deliver, and which keys vouch for them."""

import time
from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy import select

from cloud.config import Settings
from cloud.database import migrated
from cloud.errors import CloudError, NotFoundError
from cloud.proofs import repository as keys
from cloud.proofs import service as proofs
from cloud.sites.tables import gateways, projects
from protocols.delivery.records import instant, microseconds
from protocols.delivery.signature import key_text
from protocols.delivery.topics import checked_id

gateway_app = typer.Typer(no_args_is_help=True, help="Which gateways may deliver.")

KeyArgument = Annotated[str, typer.Argument(help="as `hutong-edge key show` prints it")]


@gateway_app.command("enrol")
def enrol(
    gateway: str,
    project: Annotated[str, typer.Option()],
    name: Annotated[str, typer.Option()] = "",
    public_key: Annotated[str, typer.Option(help="as `hutong-edge key show` prints it")] = "",
) -> None:
    """Let a gateway deliver for a project."""
    try:
        checked_id(gateway)
    except ValueError as error:
        raise CloudError(str(error)) from error
    with migrated(Settings().database) as engine, engine.begin() as connection:
        if connection.scalar(select(projects.c.id).where(projects.c.id == project)) is None:
            message = f"project {project!r} is unknown"
            raise CloudError(message)
        if keys.project_of(connection, gateway) is not None:
            message = f"gateway {gateway!r} is enrolled already"
            raise CloudError(message)
        row = {"id": gateway, "project_id": project, "name": name or gateway}
        connection.execute(gateways.insert().values(**row))
        if public_key:
            proofs.trust_key(connection, gateway, public_key, from_us=None)
    typer.echo(f"enrolled {gateway}")


@gateway_app.command("trust-key")
def trust_key(
    gateway: str,
    key: KeyArgument,
    since: Annotated[
        str, typer.Option("--from", help="RFC 3339; default: all that was ever received")
    ] = "",
) -> None:
    """Let a key vouch for what a gateway delivers; earlier signatures are judged again."""
    from_us = _instant(since) if since else None
    with migrated(Settings().database) as engine, engine.begin() as connection:
        proofs.trust_key(connection, gateway, key, from_us=from_us)
    typer.echo(f"trusted for {gateway}")


@gateway_app.command("revoke-key")
def revoke_key(gateway: str, key: KeyArgument) -> None:
    """Let a key vouch for nothing that is received from now on."""
    with migrated(Settings().database) as engine, engine.begin() as connection:
        proofs.revoke_key(connection, gateway, key, time.time_ns() // 1000)
    typer.echo(f"revoked for {gateway}")


@gateway_app.command("keys")
def list_keys(gateway: str) -> None:
    """Print a gateway's keys and when each vouches, one a line."""
    with migrated(Settings().database) as engine, engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        if keys.project_of(reader, gateway) is None:
            message = f"gateway {gateway!r} is unknown"
            raise NotFoundError(message)
        for item in keys.keys(reader, gateway):
            begin = f"from {instant(item.valid_from_us).isoformat()}" if item.valid_from_us else ""
            end = "" if item.revoked_us is None else instant(item.revoked_us).isoformat()
            until = f"revoked {end}" if end else "valid"
            typer.echo("  ".join(part for part in (key_text(item.key), until, begin) if part))


def _instant(text: str) -> int:
    try:
        return microseconds(datetime.fromisoformat(text))
    except ValueError as error:
        message = f"--from: {text!r}: allowed is RFC 3339 with its zone: 2026-07-01T08:00:00Z"
        raise CloudError(message) from error
