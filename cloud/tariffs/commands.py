"""The commands `hutong-cloud tariff list | check | schema | try`."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from cloud.console import fail, input_name, json_text, read_input
from cloud.documents import DocumentError
from cloud.money import fen_to_yuan
from cloud.tariffs.files import (
    SUFFIXES,
    TariffRefusedError,
    load_book,
    load_tariff,
    load_tariffs,
    tariff_files,
    tariff_in_force,
)
from cloud.tariffs.rating import Rated, RatingError, rate
from cloud.tariffs.schema import schema_text
from cloud.tariffs.tariff import Tariff
from cloud.tariffs.usage_files import parse_usage

tariff_app = typer.Typer(help="Tariffs: list, check and try them.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Where the tariff files lie; default: the built-in ones, and those of HUTONG_TARIFFS.",
    ),
]
Own = Annotated[Path | None, typer.Option("--own", envvar="HUTONG_TARIFFS", hidden=True)]


@tariff_app.command("list")
def list_tariffs(
    *,
    service: Annotated[str | None, typer.Option(help="Only of this service.")] = None,
    on: Annotated[str | None, typer.Option(metavar="DATE", help="Only in force then.")] = None,
    as_json: AsJson = False,
    folder: Folder = None,
    own: Own = None,
) -> None:
    """List every tariff and version, or those of a service or in force on a day."""
    try:
        day = None if on is None else _day(on)
        tariffs = _chosen(_tariffs(folder, own), service, day)
    except (DocumentError, OSError) as error:
        fail(error)
    rows = [_summary(tariff) for tariff in tariffs]
    if as_json:
        typer.echo(json_text({"tariffs": rows}))
        return
    for tariff in tariffs:
        until = tariff.effective_to or ""
        state = "verified" if tariff.verified else "unverified"
        kinds = ",".join(tariff.supply_kinds)
        typer.echo(
            f"{tariff.id}  {tariff.version}  {tariff.effective_from}..{until}"
            f"  {kinds}  {state}  {tariff.name.zh} / {tariff.name.en}"
        )


@tariff_app.command("check")
def check_tariff(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Tariff files; default: all of HUTONG_TARIFFS.")
    ] = None,
    *,
    as_json: AsJson = False,
    own: Own = None,
) -> None:
    """Check tariff files; exit 2 with one line per fault."""
    if not files:
        files = _own_files(own)
    tariffs: list[Tariff] = []
    faults: list[str] = []
    for path in files:
        try:
            tariffs.append(load_tariff(path))
        except DocumentError as error:
            faults.extend(error.faults)
    if faults:
        fail(DocumentError(*faults))
    if as_json:
        typer.echo(json_text({"tariffs": [_summary(tariff) for tariff in tariffs]}))
        return
    for path, tariff in zip(files, tariffs, strict=True):
        typer.echo(f"{path}: {tariff.id} version {tariff.version} is well-formed")


@tariff_app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of tariff files."""
    typer.echo(schema_text(), nl=False)


@tariff_app.command("try")
def try_tariff(
    tariff: Annotated[str, typer.Argument(metavar="FILE_OR_ID", help="A tariff file or id.")],
    *,
    usage: Annotated[str, typer.Option(help="Usage file (JSON), - for standard input.")],
    as_json: AsJson = False,
    folder: Folder = None,
    own: Own = None,
) -> None:
    """Rate a usage file by a tariff, as a trial: an unverified tariff is allowed."""
    try:
        wanted = parse_usage(read_input(usage), name=input_name(usage))
        if tariff.endswith(SUFFIXES) or Path(tariff).is_file():
            chosen = load_tariff(Path(tariff))
        else:
            chosen = tariff_in_force(_tariffs(folder, own), tariff, on=wanted.from_on)
        rated = rate(chosen, wanted)
    except RatingError as error:
        fail(error, prefix=f"{input_name(usage)}: ")
    except (DocumentError, TariffRefusedError, OSError) as error:
        fail(error)
    if as_json:
        typer.echo(json_text(rated_document(rated)))
        return
    for item in rated.line_items:
        typer.echo(f"{item.description} ({item.description_en})  {item.formula}")
    typer.echo(f"合计 (total)  {fen_to_yuan(rated.total_fen)} 元")


def rated_document(rated: Rated) -> dict[str, object]:
    """Give a rating as the JSON document of `tariff try`; amounts are strings in yuan."""
    return {
        "tariff": rated.tariff.id,
        "version": rated.tariff.version,
        "line_items": [
            {
                "code": item.code,
                "description": item.description,
                "description_en": item.description_en,
                "quantity": format(item.quantity, "f"),
                "uom": item.uom,
                "unit_price": format(item.unit_price, "f"),
                "amount": fen_to_yuan(item.amount_fen),
                "formula": item.formula,
                "component": item.component,
                "tier": item.tier,
                "period": item.period,
            }
            for item in rated.line_items
        ],
        "total": fen_to_yuan(rated.total_fen),
        "carried_quantity": format(rated.carried_quantity, "f"),
    }


def _tariffs(folder: Path | None, own: Path | None) -> list[Tariff]:
    if folder is not None:
        return load_tariffs(folder)
    return load_tariffs() if own is None else load_book(own)


def _own_files(own: Path | None) -> list[Path]:
    if own is None:
        msg = "FILES: missing: allowed are tariff files, or a folder of them in HUTONG_TARIFFS"
        fail(DocumentError(msg))
    try:
        # beside the built-in ones, too
        load_book(own)
    except (DocumentError, OSError) as error:
        fail(error)
    return tariff_files(own)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        msg = f"--on: {text!r}: allowed is a date such as 2026-07-01"
        raise DocumentError(msg) from None


def _chosen(tariffs: list[Tariff], service: str | None, day: date | None) -> list[Tariff]:
    known = sorted({tariff.service for tariff in tariffs})
    if service is not None and service not in known:
        msg = f"--service: {service!r}: allowed are {', '.join(known)}"
        raise DocumentError(msg)
    return [
        tariff
        for tariff in tariffs
        if service in {None, tariff.service} and (day is None or tariff.in_force_on(day))
    ]


def _summary(tariff: Tariff) -> dict[str, object]:
    return {
        "id": tariff.id,
        "version": tariff.version,
        "name": tariff.name.zh,
        "name_en": tariff.name.en,
        "service": tariff.service,
        "uom": tariff.uom,
        "supply_kinds": list(tariff.supply_kinds),
        "effective_from": tariff.effective_from.isoformat(),
        "effective_to": tariff.effective_to.isoformat() if tariff.effective_to else None,
        "verified": tariff.verified,
        "source": tariff.source,
    }
