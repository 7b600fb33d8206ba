"""Everything that the doctor looks at, in the order in which one thing needs the other."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from pydantic import ValidationError

from cloud.config import Settings
from cloud.operations import machine_checks as machine
from cloud.operations import setting_checks
from cloud.operations.database_checks import check_database
from cloud.operations.findings import Finding, failure


def examine(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Give what every check finds; the settings are those of the process."""
    yield from setting_checks.check_names(environment)
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors():
            name = setting_checks.PREFIX + ".".join(map(str, fault["loc"])).upper()
            yield failure("settings", f"{name}: {fault['msg']}", "correct it; nothing else is read")
        return
    now = datetime.now(UTC)
    yield from setting_checks.check_files(settings, now)
    yield from setting_checks.check_tariffs(settings)
    yield from setting_checks.check_channels(settings)
    yield from machine.check_disk(settings)
    yield from check_database(settings)
    yield from machine.check_ports(settings)
    yield from machine.check_broker(settings)
    yield from machine.check_backup(settings, now)
