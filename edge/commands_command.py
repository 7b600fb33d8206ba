"""hutong-edge commands: what this gateway takes, and whether it takes anything now."""

import json
from pathlib import Path
from typing import Annotated

import typer

from edge import bootstrap
from edge.command_book import BOOK_MARK, FROZEN_MARK, page_of
from edge.config import GatewayConfig, Settings, load
from edge.journal_errors import journal_error
from edge.journal_schema import connect
from edge.journal_view import open_view

commands_app = typer.Typer(no_args_is_help=True, help="Commands: what is taken, what is frozen.")

ConfigFile = Annotated[Path, typer.Option("--config", help="the gateway file")]


@commands_app.command("status")
def status(
    config: ConfigFile,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whose commands are taken, what is allowed of which device, and what is frozen or open."""
    checked, path = _found(config)
    with open_view(path, checked.gateway) as db:
        marks = dict(db.execute("SELECT key, value FROM marks").fetchall())
    page, frozen = page_of(marks.get(BOOK_MARK)), marks.get(FROZEN_MARK, "")
    allowed = {name: sorted(actions) for name, actions in checked.targets().items()}
    if as_json:
        told: dict[str, object] = {"frozen": frozen, "key": checked.command_key}
        told |= {"counter": page.counter, "open": [each.id for each in page.open]}
        typer.echo(json.dumps({**told, "allowed": allowed}))
        return
    typer.echo(f"key: {checked.command_key or 'none: every command is refused'}")
    typer.echo(f"frozen: {frozen or 'no'}")
    typer.echo(f"last counter: {page.counter}, open: {len(page.open)}")
    for name, actions in allowed.items():
        typer.echo(f"{name or 'the gateway itself'}: {', '.join(actions)}")


@commands_app.command("thaw")
def thaw(config: ConfigFile) -> None:
    """Take commands again, when it is known why the cloud closed an epoch of this gateway."""
    checked, path = _found(config)
    with open_view(path, checked.gateway) as db:
        row = db.execute("SELECT value FROM marks WHERE key = ?", (FROZEN_MARK,)).fetchone()
    if row is None or not row[0]:
        typer.echo("commands are not frozen")
        return
    # one small transaction: the gateway may run, and looks at each command
    connection = connect(path)
    try:
        connection.execute("UPDATE marks SET value = '' WHERE key = ?", (FROZEN_MARK,))
    except connection.Error as error:
        raise journal_error(path, error) from error
    finally:
        connection.close()
    typer.echo(f"thawed; it was frozen because {row[0]}")


def _found(config: Path) -> tuple[GatewayConfig, Path]:
    checked = load(config)
    return checked, bootstrap.journal_path(checked, Settings())
