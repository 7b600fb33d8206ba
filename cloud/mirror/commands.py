"""hutong-cloud mirror: how the mirror fares, and the history sent to it again."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from cloud.config import Settings
from cloud.database import opened
from cloud.errors import RefusedError
from cloud.mirror import repository, service
from cloud.mirror.endpoints import told
from protocols.delivery.records import microseconds

mirror_app = typer.Typer(no_args_is_help=True, help="The copy of the readings for dashboards.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@mirror_app.command("status")
def status(*, as_json: AsJson = False) -> None:
    """Tell how far behind the mirror is, and what went wrong last."""
    settings = Settings()
    with opened(settings.database) as engine, engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        found = told(repository.status(reader), is_on=bool(settings.influx_url))
    if as_json:
        typer.echo(found.model_dump_json())
        return
    for key, value in found.model_dump(mode="json").items():
        typer.echo(f"{key}: {value}")


@mirror_app.command("replay")
def replay(
    from_: Annotated[str, typer.Option("--from", help="first day (UTC), YYYY-MM-DD")],
    to: Annotated[str, typer.Option(help="last day (UTC), YYYY-MM-DD; default: today")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Send what the history holds of these days again; a point that is there stays one."""
    settings = Settings()
    server = service.server_of(settings)
    if server is None:
        message = "HUTONG_INFLUX_URL: empty: allowed is the URL of a server"
        raise RefusedError(message)
    first_on = _day(from_, "--from")
    last_on = _day(to, "--to") if to else datetime.now(UTC).date()
    if last_on < first_on:
        message = f"--to: {to}: allowed are days from {first_on} on"
        raise RefusedError(message)
    start_us, end_us = _midnight_us(first_on), _midnight_us(last_on + timedelta(days=1))
    with opened(settings.database) as engine:
        lines = service.replay(engine, server, start_us, end_us)
    typer.echo(json.dumps({"lines": lines}) if as_json else f"{lines} lines sent")


def _day(text: str, key: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        message = f"{key}: {text!r}: allowed is a day, YYYY-MM-DD"
        raise RefusedError(message) from error


def _midnight_us(day: date) -> int:
    return microseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
