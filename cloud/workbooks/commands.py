"""The command `hutong-cloud report`."""

from pathlib import Path
from typing import Annotated

import typer

from cloud.config import Settings
from cloud.database import migrated
from cloud.web.i18n import language_of
from cloud.web.report_frame import Span
from cloud.web.reports import NAMES, workbook


def report(
    name: Annotated[str, typer.Argument(help=", ".join(NAMES))],
    project: Annotated[str, typer.Option()],
    first: Annotated[str, typer.Option(help="first billing month, YYYY-MM")],
    last: Annotated[str, typer.Option(help="last billing month, YYYY-MM")],
    out: Annotated[Path, typer.Option(help="the xlsx file to write")],
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
) -> None:
    """Write a report of the books as a workbook."""
    span = Span(first, last)
    with migrated(Settings().database) as engine, engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        made = workbook(reader, project, name, span=span, language=language_of(language))
    out.write_bytes(made)
    typer.echo(f"wrote {out}")
