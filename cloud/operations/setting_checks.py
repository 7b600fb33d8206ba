"""Checks of the settings: names, files, keys, tariffs."""

import difflib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from cloud.billing.tariff_book import tariffs_of
from cloud.config import Settings
from cloud.errors import CloudError
from cloud.notify.sender import notifiers_of
from cloud.operations.backup import KEY_FILES
from cloud.operations.findings import Finding, failure, good, warning
from cloud.payments.merchants import channels_of

PREFIX: Final = "HUTONG_"
# of the gateway, the demo and the images, which may share an environment file with the service
OTHERS: Final = frozenset(
    {
        "HUTONG_CUTOVER",
        "HUTONG_FAILPOINT",
        "HUTONG_SITE_PTY",
        "HUTONG_SITE_TCP_PORT",
        "HUTONG_TRUST_CLOCK",
    }
)
EXPIRES_SOON: Final = timedelta(days=30)
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE"


def check_names(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Find variables that look like settings and are none."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = [name for name in sorted(environment) if name.upper().startswith(PREFIX)]
    # pydantic reads them in either case
    strange = [name for name in given if name.upper() not in known | OTHERS]
    for name in strange:
        close = difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.6)
        hint = f"rename it to {close[0]}" if close else "remove it"
        yield warning("settings", f"{name}: no such setting: it changes nothing", hint)
    if not strange:
        yield good("settings", f"{len(given)} variables, all of them known")


def check_files(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Find files and folders of settings that cannot be read, and certificates that expire."""
    for name in (*KEY_FILES, "fonts", "templates"):
        path: Path | None = getattr(settings, name)
        if path is None:
            continue
        setting = PREFIX + name.upper()
        try:
            if name in KEY_FILES:
                yield from _certificate(setting, path, path.read_bytes(), now)
            else:
                next(path.iterdir(), None)
        except OSError as error:
            yield failure(
                "files",
                f"{setting}: {path}: cannot be read: {error.strerror}",
                "correct the setting, or let the service's user read it",
            )


def check_tariffs(settings: Settings) -> Iterator[Finding]:
    """Read every tariff as a bill run would."""
    try:
        found = tariffs_of(settings.tariffs)
    except CloudError as error:
        yield failure(
            "tariffs",
            f"no bill can be run: {str(error).splitlines()[0]}",
            "correct the file; hutong-cloud tariff check tells every fault",
        )
        return
    yield good("tariffs", f"{len(found)} versions can be read")


def check_channels(settings: Settings) -> Iterator[Finding]:
    """Read the keys of online payment and the ways of messages as the service would."""
    try:
        channels = channels_of(settings)
    except CloudError as error:
        yield failure(
            "payment keys",
            f"the service does not start: {str(error).splitlines()[0]}",
            "correct the setting, see docs/payments.md",
        )
    else:
        names = ", ".join(channels) or "none is set up"
        yield good("payment keys", f"channels: {names}")
    try:
        notifiers_of(settings)
    except CloudError as error:
        yield failure(
            "messages",
            f"the service does not start: {str(error).splitlines()[0]}",
            "correct the setting, see docs/messages.md",
        )


def _certificate(setting: str, path: Path, content: bytes, now: datetime) -> Iterator[Finding]:
    if not content.lstrip().startswith(_CERTIFICATE):
        return
    try:
        ends = min(item.not_valid_after_utc for item in x509.load_pem_x509_certificates(content))
    except ValueError:
        yield failure("files", f"{setting}: {path}: no certificate in PEM", "correct the file")
        return
    told = f"{setting}: {path}: the certificate"
    if ends <= now.astimezone(UTC):
        yield failure("files", f"{told} expired on {ends:%Y-%m-%d}", "put the new one in its place")
    elif ends <= now + EXPIRES_SOON:
        yield warning("files", f"{told} expires on {ends:%Y-%m-%d}", "get the new one")
