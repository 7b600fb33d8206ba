"""The commands `hutong-cloud bill evidence`, `bill verify` and `bill verifier`."""

import zipapp
from pathlib import Path
from typing import Annotated

import typer

from cloud.billing import verify_bill
from cloud.billing.bundle import bundle_of
from cloud.billing.verify_bill.__main__ import main
from cloud.config import Settings
from cloud.database import migrated
from cloud.errors import CloudError


def evidence(
    bill: str, out: Annotated[Path, typer.Option(help="where the bundle is written")]
) -> None:
    """Write all that a bill stands on and compute the bill anew from it; exit 1 if it differs."""
    with migrated(Settings().database) as engine, engine.connect() as connection:
        raw = bundle_of(connection.execution_options(readonly=True), bill)
    try:
        out.write_bytes(raw)
    except OSError as error:
        message = f"--out: {out}: {error.strerror}"
        raise CloudError(message) from error
    typer.echo(f"wrote {out}")
    raise typer.Exit(main([str(out)]))


def verify(
    file: Path,
    key: Annotated[
        list[str] | None, typer.Option(help="a gateway's public key, as it shows it")
    ] = None,
) -> None:
    """Compute a bill anew from its bundle: exit 0 if it agrees, 1 if it differs, 2 without file."""
    keys = [argument for each in key or () for argument in ("--key", each)]
    raise typer.Exit(main([str(file), *keys]))


def verifier(
    out: Annotated[Path, typer.Option(help="where the program is written: verify_bill.pyz")],
) -> None:
    """Write the verifier as one file that runs anywhere: python verify_bill.pyz bundle.json."""
    pack_verifier(out)
    typer.echo(f"wrote {out}")


def pack_verifier(out: Path) -> None:
    """Write the verifier as a zip application; CloudError where it cannot be written."""
    folder = Path(verify_bill.__file__).parent
    try:
        zipapp.create_archive(
            folder.parent,
            out,
            main=f"{folder.name}.__main__:run",
            filter=lambda path: path.parts[0] == folder.name and path.suffix == ".py",
        )
    except OSError as error:
        message = f"--out: {out}: {error.strerror}"
        raise CloudError(message) from error
