"""The command `hutong-cloud allocate`."""

import csv
import io
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import typer

from cloud.billing.allocation import AllocationError
from cloud.billing.allocation import allocate as allocate_pool
from cloud.console import fail, input_name, json_text, read_input
from cloud.documents import DocumentError, exact_decimal, parse_json
from cloud.money import fen_to_yuan, yuan_to_fen

_CSV_COLUMNS = 2

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Basis(StrEnum):
    """What the shares of a pool measure."""

    AREA = "area"
    USAGE = "usage"
    HOUSEHOLD = "household"
    HEAD = "head"


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
        fail(error, prefix="--total: ")
    try:
        weights = parse_shares(read_input(shares), name=input_name(shares))
        shared = allocate_pool(total_fen, weights)
    except AllocationError as error:
        fail(error, prefix=f"{input_name(shares)}: by {by}: ")
    except DocumentError as error:
        fail(error)
    amounts = {premise: fen_to_yuan(fen) for premise, fen in shared.items()}
    if as_json:
        typer.echo(json_text({"shares": amounts}))
        return
    for premise, amount in amounts.items():
        typer.echo(f"{premise}  {amount}")


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
