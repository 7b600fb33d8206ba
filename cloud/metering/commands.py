"""hutong-cloud reads: a file of register reads tried, taken as one import, and undone."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from cloud.config import Settings
from cloud.database import migrated
from cloud.documents import DocumentError
from cloud.metering import manual_reads
from cloud.metering.file_reads import Filing, file_reads
from cloud.metering.plausibility import Answer
from cloud.metering.read_files import rows_of

reads_app = typer.Typer(no_args_is_help=True, help="Register reads that people took.")

By = Annotated[str, typer.Option(help="who brings it")]


@reads_app.command("import")
def import_file(
    file: Path,
    project: Annotated[str, typer.Option()],
    *,
    round_id: Annotated[
        int | None, typer.Option("--round", help="the round 抄表 that the reads belong to")
    ] = None,
    by: By = "command line",
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="store those to ask about too")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done, store nothing")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take the reads of an xlsx or CSV file as one import; each row that is left out is told."""
    try:
        body = file.read_bytes()
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise DocumentError(message) from error
    rows = rows_of(body, name=str(file))
    filing = Filing(project, file.name, by, round_id)
    with migrated(Settings().database) as engine, engine.begin() as connection:
        done = file_reads(connection, filing, rows, confirmed=confirmed, dry_run=dry_run)
    counts = {
        "stored": 0 if dry_run else done.stored,
        "accepted": len(done.of(Answer.ACCEPT)),
        "asked": len(done.of(Answer.ASK)),
        "refused": len(done.of(Answer.REFUSE)),
    }
    if as_json:
        left = [
            {"line": item.row.line, "answer": item.answer.value, "reason": item.reason}
            for item in done.left_out
        ]
        typer.echo(json.dumps({"import": done.import_id, **counts, "left_out": left}))
        return
    for item in done.left_out:
        typer.echo(f"{file}: line {item.row.line}: {item.answer.value}: {item.reason}")
    typer.echo(", ".join(f"{number} {word}" for word, number in counts.items()))
    if done.import_id is not None:
        typer.echo(f"import {done.import_id}")


@reads_app.command("undo")
def undo_import(
    number: Annotated[int, typer.Argument(help="the import's number")],
    why: Annotated[str, typer.Option(help="why")],
    by: By = "command line",
) -> None:
    """Withdraw every read of an import; they stay on file."""
    now_us = time.time_ns() // 1000
    with migrated(Settings().database) as engine, engine.begin() as connection:
        undone = manual_reads.undo_import(connection, number, by=by, why=why, now_us=now_us)
    typer.echo(f"{undone} reads withdrawn")
