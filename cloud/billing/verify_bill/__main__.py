"""The program `python -m verify_bill bundle.json`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .bill import verify
from .values import DiffersError, printable

HOLDS, DIFFERS, UNREADABLE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Check a file, tell what came of it and return the exit code."""
    parser = argparse.ArgumentParser(prog="verify_bill", description="Check a bill's evidence.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", action="append", default=[], help="a gateway's public key")
    given = parser.parse_args(arguments)
    try:
        told = verify(given.file.read_bytes(), given.key)
    except OSError as error:
        sys.stderr.write(f"{given.file}: {error.strerror}\n")
        return UNREADABLE
    except DiffersError as error:
        sys.stdout.write(f"不符 differs: {printable(str(error))}\n")
        return DIFFERS
    sys.stdout.write("".join(f"{printable(line)}\n" for line in told))
    return HOLDS


def run() -> None:
    """Run the program."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
