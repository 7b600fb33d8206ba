"""hutong-edge key: the key that vouches for what this gateway delivers."""

from pathlib import Path
from typing import Annotated

import typer

from edge.config import Settings, load
from edge.signing import key_path
from protocols.delivery.signature import key_text, public_bytes
from protocols.io.key_file import open_key

key_app = typer.Typer(no_args_is_help=True, help="The key that signs what is delivered.")


@key_app.callback()
def _group() -> None:
    # a callback keeps `show` a command of its own while it is the only one
    return


@key_app.command("show")
def show(config: Annotated[Path, typer.Option(help="the gateway file")]) -> None:
    """Print the public key, 44 characters, for the cloud to trust; made now if there is none."""
    path = key_path(Settings().data_dir, load(config).gateway)
    typer.echo(key_text(public_bytes(open_key(path))))
