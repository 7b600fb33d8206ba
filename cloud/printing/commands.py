"""Commands that print documents: bill print, bill receipt, bill dun, bill sheet."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection, select

from cloud.billing.bill_tables import bills
from cloud.config import Settings
from cloud.database import migrated
from cloud.errors import CloudError, NotFoundError
from cloud.ledger.tables import accounts
from cloud.printing import sources
from cloud.printing.documents import Document
from cloud.printing.printer import printer_of
from cloud.printing.sources import Desk

Out = Annotated[Path, typer.Option(help="the PDF file to write")]


def print_bill(bill: str, out: Out) -> None:
    """Print a bill as PDF."""
    settings = Settings()
    with _reader(settings) as connection:
        project = connection.scalar(select(bills.c.project_id).where(bills.c.id == bill))
        if project is None:
            message = f"bill {bill!r} is unknown"
            raise NotFoundError(message)
        _write(settings, sources.bill(connection, Desk(project, settings), bill), out)


def print_receipt(account: str, entry: int, out: Out) -> None:
    """Print the receipt of an entry of an account as PDF."""
    settings = Settings()
    with _reader(settings) as connection:
        desk = Desk(_project_of(connection, account), settings)
        _write(settings, sources.receipt(connection, desk, account, entry), out)


def print_dunning_letter(
    account: str,
    out: Out,
    on: Annotated[str, typer.Option(help="its day, YYYY-MM-DD; default: today (UTC)")] = "",
) -> None:
    """Print a letter for all that an account owes as PDF."""
    settings = Settings()
    try:
        letter_on = date.fromisoformat(on) if on else datetime.now(UTC).date()
    except ValueError as error:
        message = f"--on: {on!r}: allowed is a day, YYYY-MM-DD"
        raise CloudError(message) from error
    with _reader(settings) as connection:
        desk = Desk(_project_of(connection, account), settings)
        letter = sources.dunning_letter(connection, desk, account, letter_on=letter_on)
        _write(settings, letter, out)


def print_sheet(
    pool: str,
    project: Annotated[str, typer.Option()],
    period: Annotated[str, typer.Option(help="YYYY-MM")],
    out: Out,
) -> None:
    """Print a pool's public sheet as PDF."""
    settings = Settings()
    with _reader(settings) as connection:
        desk = Desk(project, settings)
        _write(settings, sources.public_sheet(connection, desk, period, pool), out)


@contextmanager
def _reader(settings: Settings) -> Iterator[Connection]:
    with migrated(settings.database) as engine, engine.connect() as connection:
        yield connection.execution_options(readonly=True)


def _project_of(connection: Connection, account: str) -> str:
    project = connection.scalar(select(accounts.c.project_id).where(accounts.c.id == account))
    if project is None:
        message = f"account {account!r} is unknown"
        raise NotFoundError(message)
    return str(project)


def _write(settings: Settings, document: Document, out: Path) -> None:
    out.write_bytes(printer_of(settings.fonts, settings.templates).pdf(document))
    typer.echo(f"wrote {out}")
