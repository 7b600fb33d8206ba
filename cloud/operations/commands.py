"""The commands `hutong-cloud backup | restore | migrate | doctor`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from cloud.config import Settings
from cloud.database import migrate as bring
from cloud.database import opened, revision_of, revisions
from cloud.errors import CloudError
from cloud.operations import backup as backups
from cloud.operations import restore as restores
from cloud.operations.doctor import examine

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def backup(
    target: Annotated[Path, typer.Argument(help="a new file, or a folder for one")],
    *,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="also the payment keys; guard such a backup")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the database, photos and own files into one archive while the service runs."""
    made = backups.make(Settings(), target, with_keys=with_keys)
    if as_json:
        told = {"path": str(made.path), "size": made.size, "schema": made.manifest.schema}
        told |= {"database": made.manifest.database, "parts": len(made.manifest.parts)}
        typer.echo(json.dumps(told))
        return
    typer.echo(f"{made.path}: {made.size} bytes, {len(made.manifest.parts)} parts")


def restore(
    file: Path,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="keep the database that is there aside")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the database's place; gateways send again what came since."""
    done = restores.restore(Settings(), file, force=force)
    if as_json:
        told: dict[str, object] = {
            "begun_at": done.manifest.begun_at,
            "schema": done.schema,
            "set_aside": done.set_aside,
            "generations": done.generations,
            "files": done.files,
            "left_alone": done.left_alone,
            "without_place": done.without_place,
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    typer.echo(f"restored what was there at {done.manifest.begun_at}")
    typer.echo(f"schema {done.manifest.schema} -> {done.schema}")
    if done.set_aside:
        typer.echo(f"what was there before is kept as {done.set_aside}")
    for name, number in sorted(done.generations.items()):
        typer.echo(f"{name}: generation {number}: it will send again what came since")
    typer.echo(f"{done.files} files")
    for name in done.left_alone:
        typer.echo(f"{name}: there already and not as in the backup: left alone")
    for name in done.without_place:
        typer.echo(f"{name}: no setting says where it belongs: left in the archive")


def migrate(
    to: Annotated[str, typer.Option(help="a revision, up or down; default: the newest")] = "",
) -> None:
    """Bring the database to the newest schema, or to another revision, up or down."""
    known = revisions()
    if to and to not in known:
        message = f"--to: {to!r}: allowed are {known[0]} to {known[-1]}"
        raise CloudError(message)
    with opened(Settings().database) as engine:
        bring(engine, to or "head")
        with engine.connect() as connection:
            schema = revision_of(connection)
    newest = "the schema is up to date" if schema == known[-1] else "the schema is an older one"
    typer.echo(f"{newest}: {schema}")


def doctor(*, as_json: AsJson = False) -> None:
    """Say what is wrong with this installation, what it means and what to do; 1 for errors."""
    found = list(examine(os.environ))
    if as_json:
        typer.echo(json.dumps([vars(item) for item in found], ensure_ascii=False))
    else:
        for item in found:
            typer.echo(f"{item.level:8} {item.check}: {item.means}")
            if item.todo:
                typer.echo(f"{'':8} -> {item.todo}")
    if any(item.level == "error" for item in found):
        raise typer.Exit(1)
