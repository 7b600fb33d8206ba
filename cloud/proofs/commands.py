"""The commands `hutong-cloud prove` and `hutong-cloud verify`."""

from pathlib import Path
from typing import Annotated

import typer

from cloud.config import Settings
from cloud.database import migrated
from cloud.errors import CloudError
from cloud.proofs import proving
from protocols.delivery import verify_proof


def prove(
    reading: Annotated[str, typer.Argument(help=proving.FORMS)],
    out: Annotated[Path, typer.Option(help="where the proof is written")],
) -> None:
    """Write a proof of a device's records that needs no trust in this service."""
    with migrated(Settings().database) as engine, engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        wanted = proving.find(reader, reading)
        raw = proving.prove(reader, wanted)
        clock = proving.clock_quality(reader, wanted)
    try:
        out.write_bytes(raw)
    except OSError as error:
        message = f"--out: {out}: {error.strerror}"
        raise CloudError(message) from error
    typer.echo(f"wrote {out}")
    typer.echo(f"clock_quality: {clock}")


def verify(
    file: Path,
    key: Annotated[str, typer.Option(help="the gateway's public key, as it shows it")] = "",
) -> None:
    """Check a proof: exit 0 if it holds, 1 if it doesn't, 2 if the file is no proof."""
    raise typer.Exit(verify_proof.main([str(file), *(["--key", key] if key else [])]))
