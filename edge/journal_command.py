"""hutong-edge journal: what is in the gateway's journal, as a status, a table or a file."""

import json
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edge import bootstrap, journal_export
from edge.config import GatewayConfig, Settings, load
from edge.journal_errors import JournalError, journal_error
from edge.journal_migrations import migrate, version_of
from edge.journal_schema import connect
from edge.journal_view import lane_status, open_view, overview
from protocols.delivery.envelope import LANES
from protocols.delivery.records import microseconds
from protocols.errors import ConfigError

journal_app = typer.Typer(no_args_is_help=True, help="What is in the gateway's journal.")

ConfigFile = Annotated[Path, typer.Option("--config", help="the gateway file")]


class Format(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"
    SQLITE = "sqlite"


@journal_app.command("status")
def status(
    config: ConfigFile,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say where each lane stands, and where the journal stands on the ladder of a full disk."""
    checked, path = _found(config)
    with open_view(path, checked.gateway) as db:
        lanes = [lane_status(db, lane) for lane in LANES]
        whole = overview(db, path)
    if as_json:
        shown = [{**vars(lane), "epoch": f"{lane.epoch:016x}"} for lane in lanes]
        typer.echo(json.dumps({**vars(whole), "path": str(path), "lanes": shown}))
        return
    for lane in lanes:
        waiting = lane.next - 1 - lane.acked
        typer.echo(
            f"lane {lane.lane}: epoch {lane.epoch:016x}, batches {lane.first}..{lane.next - 1},"
            f" acknowledged {lane.acked}, waiting {waiting}, tail {lane.tail_records} records"
        )
    typer.echo(f"{whole.batch_bytes} bytes in batches")
    typer.echo(
        f"{whole.file_bytes} bytes on disk of {checked.journal.max_mib} MiB,"
        f" step {whole.step}, format {whole.format}"
    )


@journal_app.command("export")
def export(
    config: ConfigFile,
    kind: Annotated[Format, typer.Option("--format")] = Format.JSONL,
    out: Annotated[Path | None, typer.Option(help="file; standard output if none")] = None,
    since: Annotated[str | None, typer.Option("--from", help="instant with its offset")] = None,
    until: Annotated[str | None, typer.Option("--to", help="instant, not included")] = None,
) -> None:
    """Write one row per reading and event, oldest batch first, also while the gateway runs."""
    checked, path = _found(config)
    if kind is Format.SQLITE and out is None:
        message = "--out: a SQLite export needs a file"
        raise ConfigError(message)
    if out is not None and out.exists():
        message = f"--out: {out}: is there already"
        raise ConfigError(message)
    span = (_instant("--from", since), _instant("--to", until))
    with open_view(path, checked.gateway) as db:
        rows = journal_export.lines(db, from_us=span[0], to_us=span[1], unread=_warn)
        if kind is Format.SQLITE and out is not None:
            count = journal_export.write_sqlite(rows, out)
        else:
            write = journal_export.write_csv if kind is Format.CSV else journal_export.write_jsonl
            if out is None:
                count = write(rows, sys.stdout)
            else:
                with out.open("w", encoding="utf-8", newline="") as file:
                    count = write(rows, file)
    sys.stderr.write(f"{count} rows\n")


@journal_app.command("downgrade")
def downgrade(
    config: ConfigFile,
    to: Annotated[int, typer.Option("--to", help="the format that the older version knows")],
) -> None:
    """Bring the journal back to an older format, for a rollback; stop the gateway first."""
    checked, path = _found(config)
    with open_view(path, checked.gateway) as db:
        before = version_of(db)
    if to > before:
        message = f"--to: {to}: the journal has format {before}; allowed: up to {before}"
        raise ConfigError(message)
    # whatever is wrong with it is mended by the version that knows how
    bootstrap.open_journal(checked, Settings()).close()
    connection = connect(path)
    try:
        migrate(connection, to)
    except connection.Error as error:
        raise journal_error(path, error) from error
    except JournalError as error:
        message = f"{path}: {error}"
        raise JournalError(message) from error
    finally:
        connection.close()
    typer.echo(f"{path}: format {before} -> {to}")


def _found(config: Path) -> tuple[GatewayConfig, Path]:
    checked = load(config)
    return checked, bootstrap.journal_path(checked, Settings())


def _instant(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return microseconds(datetime.fromisoformat(text))
    except ValueError as error:
        message = f"{option}: {text!r}: allowed is an instant such as 2026-07-01T00:00:00+08:00"
        raise ConfigError(message) from error


def _warn(text: str) -> None:
    sys.stderr.write(f"{text}\n")
