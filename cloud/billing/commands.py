"""The commands `hutong-cloud tariff list|check|try` and `hutong-cloud allocate`."""

import csv
import io
import json
import sys
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cloud.billing.allocation import AllocationError
from cloud.billing.allocation import allocate as allocate_pool
from cloud.billing.documents import (
    DocumentError,
    exact_decimal,
    parse_json,
    read_text,
)
from cloud.billing.money import fen_to_yuan, yuan_to_fen
from cloud.billing.rating import Rated, RatingError, rate
from cloud.billing.tariff import Tariff
from cloud.billing.tariff_files import (
    BUILT_IN,
    SUFFIXES,
    TariffRefusedError,
    load_tariff,
    load_tariffs,
    tariff_in_force,
)
from cloud.billing.usage_files import parse_usage

BAD_INPUT = 2
_STDIN = "-"
_CSV_COLUMNS = 2

tariff_app = typer.Typer(help="Tariffs: list, check and try them.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Folder = Annotated[Path, typer.Option("--folder", help="Where the tariff files lie.")]


class Basis(StrEnum):
    """What the shares of a pool measure."""

    AREA = "area"
    USAGE = "usage"
    HOUSEHOLD = "household"
    HEAD = "head"


@tariff_app.command("list")
def list_tariffs(*, as_json: AsJson = False, folder: Folder = BUILT_IN) -> None:
    """List every tariff and version."""
    try:
        tariffs = load_tariffs(folder)
    except (DocumentError, OSError) as error:
        _fail(error)
    rows = [_summary(tariff) for tariff in tariffs]
    if as_json:
        typer.echo(_json({"tariffs": rows}))
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
    files: Annotated[list[Path], typer.Argument(help="Tariff files.")], *, as_json: AsJson = False
) -> None:
    """Check tariff files; exit 2 with one line per fault."""
    tariffs: list[Tariff] = []
    faults: list[str] = []
    for path in files:
        try:
            tariffs.append(load_tariff(path))
        except DocumentError as error:
            faults.extend(error.faults)
    if faults:
        _fail(DocumentError(*faults))
    if as_json:
        typer.echo(_json({"tariffs": [_summary(tariff) for tariff in tariffs]}))
        return
    for path, tariff in zip(files, tariffs, strict=True):
        typer.echo(f"{path}: {tariff.id} version {tariff.version} is well-formed")


@tariff_app.command("try")
def try_tariff(
    tariff: Annotated[str, typer.Argument(metavar="FILE_OR_ID", help="A tariff file or id.")],
    *,
    usage: Annotated[str, typer.Option(help="Usage file (JSON), - for standard input.")],
    as_json: AsJson = False,
    folder: Folder = BUILT_IN,
) -> None:
    """Rate a usage file by a tariff, as a trial: an unverified tariff is allowed."""
    try:
        wanted = parse_usage(_read(usage), name=_name(usage))
        if tariff.endswith(SUFFIXES) or Path(tariff).is_file():
            chosen = load_tariff(Path(tariff))
        else:
            chosen = tariff_in_force(load_tariffs(folder), tariff, on=wanted.from_on)
        rated = rate(chosen, wanted)
    except RatingError as error:
        _fail(error, prefix=f"{_name(usage)}: ")
    except (DocumentError, TariffRefusedError, OSError) as error:
        _fail(error)
    if as_json:
        typer.echo(_json(rated_document(rated)))
        return
    for item in rated.line_items:
        typer.echo(f"{item.description} ({item.description_en})  {item.formula}")
    typer.echo(f"合计 (total)  {fen_to_yuan(rated.total_fen)} 元")


def allocate(
    *,
    total: Annotated[str, typer.Option(help="The pool in yuan, such as 72.45.")],
    by: Annotated[Basis, typer.Option(help="What the shares measure.")],
    shares: Annotated[
        str, typer.Option(help="JSON {premise: weight} or CSV premise,weight; - for stdin.")
    ],
    as_json: AsJson = False,
) -> None:
    """Share a pool of money by weights, exact to the fen."""
    try:
        total_fen = yuan_to_fen(total)
    except ValueError as error:
        _fail(error, prefix="--total: ")
    try:
        weights = parse_shares(_read(shares), name=_name(shares))
        shared = allocate_pool(total_fen, weights)
    except AllocationError as error:
        _fail(error, prefix=f"{_name(shares)}: by {by}: ")
    except DocumentError as error:
        _fail(error)
    amounts = {premise: fen_to_yuan(fen) for premise, fen in shared.items()}
    if as_json:
        typer.echo(_json({"shares": amounts}))
        return
    for premise, amount in amounts.items():
        typer.echo(f"{premise}  {amount}")


def rated_document(rated: Rated) -> dict[str, object]:
    """Give a rating as the JSON document of `tariff try`; amounts are strings in yuan."""
    return {
        "tariff": rated.tariff_id,
        "version": rated.tariff_version,
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


def parse_shares(text: str, *, name: str) -> dict[str, Decimal]:
    """Read weights by premise from JSON or CSV; DocumentError with one line per fault."""
    rows = _json_rows(text, name) if text.lstrip().startswith("{") else _csv_rows(text, name)
    weights: dict[str, Decimal] = {}
    faults: list[str] = []
    for premise, value in rows:
        key = f"{name}: {premise}"
        if not premise:
            faults.append(f"{name}: a premise without a name: {value!r}")
        elif premise in weights:
            faults.append(f"{key}: stands twice; allowed is once")
        else:
            try:
                weights[premise] = exact_decimal(value)
            except ValueError as error:
                faults.append(f"{key}: {value!r}: {error}")
    if faults:
        raise DocumentError(*faults)
    return weights


def _json_rows(text: str, name: str) -> list[tuple[str, object]]:
    document = parse_json(text, name=name)
    if not isinstance(document, dict):
        msg = f"{name}: allowed is an object {{premise: weight}}"
        raise DocumentError(msg)
    return [(str(premise), value) for premise, value in document.items()]


def _csv_rows(text: str, name: str) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for number, cells in enumerate(csv.reader(io.StringIO(text)), start=1):
        stripped = [cell.strip() for cell in cells]
        if not any(stripped):
            continue
        if len(stripped) != _CSV_COLUMNS:
            msg = f"{name}: line {number}: {','.join(cells)!r}: allowed is premise,weight"
            raise DocumentError(msg)
        if not rows and number == 1 and stripped[0].lower() == "premise":
            continue
        rows.append((stripped[0], stripped[1]))
    return rows


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


def _read(file: str) -> str:
    if file != _STDIN:
        return read_text(Path(file))
    try:
        return sys.stdin.read().removeprefix("\ufeff")
    except UnicodeDecodeError:
        msg = f"{_name(file)}: not UTF-8 text"
        raise DocumentError(msg) from None


def _name(file: str) -> str:
    return "standard input" if file == _STDIN else file


def _json(document: dict[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)


def _fail(error: Exception, *, prefix: str = "") -> NoReturn:
    for line in str(error).splitlines():
        typer.echo(f"{prefix}{line}", err=True)
    raise typer.Exit(BAD_INPUT)
