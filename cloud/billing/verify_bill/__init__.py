"""Whether a bill follows from what its meters said: one folder to copy and read, nothing of ours.

    python -m verify_bill bundle.json [--key PUBLIC_KEY ...]

It needs Python 3.11 and `cryptography`, and imports its own modules relatively so that it runs
wherever the folder lies. Exit 0: everything was computed anew and agrees, and what no signature
covers is said. Exit 1: the first thing that differs. Exit 2: there is no such file.
"""

from .bill import FORMAT, verify
from .proofs import decoded
from .shapes import CLAIM, asked_of
from .values import DiffersError

__all__ = ["CLAIM", "FORMAT", "DiffersError", "asked_of", "decoded", "verify"]
