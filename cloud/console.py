"""What commands share: reading a file or standard input, failing with one line per fault."""

import json
import sys
from pathlib import Path
from typing import NoReturn

import typer

from cloud.documents import DocumentError, read_text

BAD_INPUT = 2
_STDIN = "-"


def read_input(file: str) -> str:
    """Read a file, or standard input for `-`; DocumentError."""
    if file != _STDIN:
        return read_text(Path(file))
    try:
        return sys.stdin.read().removeprefix("\ufeff")
    except UnicodeDecodeError:
        msg = f"{input_name(file)}: not UTF-8 text"
        raise DocumentError(msg) from None


def input_name(file: str) -> str:
    """Return how messages name a file."""
    return "standard input" if file == _STDIN else file


def json_text(document: dict[str, object]) -> str:
    """Return a document as indented JSON."""
    return json.dumps(document, ensure_ascii=False, indent=2)


def fail(error: Exception, *, prefix: str = "") -> NoReturn:
    """Print the lines of an error and exit with 2."""
    for line in str(error).splitlines():
        typer.echo(f"{prefix}{line}", err=True)
    raise typer.Exit(BAD_INPUT)
