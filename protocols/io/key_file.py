"""A program's private key in a file of its own: made once, mode 0600, whole or not at all."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from protocols.errors import HutongError


class KeyFileError(HutongError):
    """The key file cannot be used as it is; the message names it and what to do."""


def open_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key of a file (PEM, PKCS8), made with mode 0600 if there is none."""
    try:
        if not path.exists():
            _make(path)
        raw = path.read_bytes()
    except OSError as error:
        message = f"{path}: the key cannot be read or made: {error.strerror}"
        raise KeyFileError(message) from error
    try:
        key = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{path}: is no private key: {error}; put it back, or remove it for a new one"
        raise KeyFileError(message) from error
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{path}: is no Ed25519 key; put it back, or remove it for a new one"
        raise KeyFileError(message)
    return key


def _make(path: Path) -> None:
    raw = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # whole or not at all: a power cut must not leave half a key
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
