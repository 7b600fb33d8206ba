"""RSA keys from files, and the one signature that both channels use: RSASSA-PKCS1-v1_5, SHA-256."""

import base64
import binascii
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from cloud.errors import CloudError

_PEM = b"-----BEGIN"
_CERTIFICATE = b"-----BEGIN CERTIFICATE"
_LEAST_BITS = 2048


def sign(key: rsa.RSAPrivateKey, message: bytes) -> str:
    """Return a signature in base64."""
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), SHA256())).decode()


def is_signed(key: rsa.RSAPublicKey, message: bytes, signature: str) -> bool:
    """Say whether a signature in base64 fits."""
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, message, padding.PKCS1v15(), SHA256())
    except (ValueError, InvalidSignature):
        return False
    return True


def private_key_of(file: Path, *, setting: str) -> rsa.RSAPrivateKey:
    """Read a private key, PEM or bare base64 as Alipay's tool gives it; CloudError."""
    content = file_of(file, setting=setting)
    key: object
    try:
        if content.startswith(_PEM):
            key = load_pem_private_key(content, password=None)
        else:
            key = load_der_private_key(_bare(content), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _LEAST_BITS:
        raise _not_a_key(file, setting, "private key without password")
    return key


def public_key_of(file: Path, *, setting: str) -> rsa.RSAPublicKey:
    """Read a public key: PEM, a certificate in PEM, or bare base64; CloudError."""
    content = file_of(file, setting=setting)
    key: object
    try:
        if content.startswith(_CERTIFICATE):
            key = x509.load_pem_x509_certificate(content).public_key()
        elif content.startswith(_PEM):
            key = load_pem_public_key(content)
        else:
            key = load_der_public_key(_bare(content))
    except (ValueError, UnsupportedAlgorithm):
        raise _not_a_key(file, setting, "public key or certificate") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise _not_a_key(file, setting, "public key or certificate")
    return key


def file_of(file: Path, *, setting: str) -> bytes:
    """Read a secret's file without the white space around it; CloudError naming the setting."""
    try:
        return file.read_bytes().strip()
    except OSError as error:
        message = f"environment: {setting}: {file}: cannot be read: {error.strerror}"
        raise CloudError(message) from None


def _bare(content: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _not_a_key(file: Path, setting: str, what: str) -> CloudError:
    message = (
        f"environment: {setting}: {file}: allowed is an RSA {what} of {_LEAST_BITS} bits or more"
    )
    return CloudError(message)
