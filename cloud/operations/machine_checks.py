"""Checks of the machine: disk, ports, broker, clock, the newest backup."""

import asyncio
import shutil
import socket
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

import aiomqtt

from cloud.config import Settings
from cloud.operations import copies
from cloud.operations.archive import BackupError
from cloud.operations.backup import last_backup
from cloud.operations.findings import Finding, failure, good, warning
from protocols.io.mqtt import Broker

MIB: Final = 1 << 20
LITTLE_DISK: Final = 2048 * MIB
NO_DISK: Final = 256 * MIB
LARGE_WAL: Final = 256 * MIB
BACKUP_AGE: Final = timedelta(hours=36)
WAIT_S: Final = 5.0
_HTTP_OK: Final = 200


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Find a disk that is full or soon will be, and a write-ahead log that does not shrink."""
    folders = {settings.data_dir}
    if copies.kind_of(settings.database) == copies.SQLITE:
        file = copies.sqlite_file(settings.database)
        folders.add(file.parent)
        yield from _check_wal(file)
    for folder in sorted(folders):
        if not folder.exists():
            continue
        free = shutil.disk_usage(folder).free
        told = f"{folder}: {free // MIB} MiB are free"
        if free < NO_DISK:
            yield failure("disk", f"{told}: readings soon cannot be stored", "make room")
        elif free < LITTLE_DISK:
            yield warning("disk", told, "make room, or give it a larger disk")
        else:
            yield good("disk", told)


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Find ports that another program has taken."""
    if not _is_taken(settings.host, settings.port):
        yield warning(
            "service",
            f"nothing listens on {settings.host}:{settings.port}",
            "start hutong-cloud serve",
        )
        if settings.embedded_broker and _is_taken("127.0.0.1", settings.mqtt_port):
            yield failure(
                "ports",
                f"127.0.0.1:{settings.mqtt_port}: another program has it: no broker of our own",
                "end that program, set HUTONG_MQTT_PORT, or name it by HUTONG_MQTT_URL",
            )
    elif _is_ours(settings.host, settings.port):
        yield good("service", f"answers on {settings.host}:{settings.port}")
    else:
        yield failure(
            "ports",
            f"{settings.host}:{settings.port}: another program has it",
            "end that program, or set HUTONG_PORT",
        )


def check_broker(settings: Settings) -> Iterator[Finding]:
    """Log in to the broker as the service does."""
    broker = Broker.parse(settings.broker_url, settings.mqtt_ca_file)
    place = f"{'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
    if settings.embedded_broker and not _is_taken("127.0.0.1", settings.mqtt_port):
        yield good("broker", "comes with hutong-cloud serve")
        return
    try:
        asyncio.run(_log_in(broker))
    except (aiomqtt.MqttError, ssl.SSLError, OSError, TimeoutError) as error:
        reason = str(error) or "no answer"
        yield failure(
            "broker",
            f"{place}: {reason}: gateways keep their readings till it can be reached",
            "see that it runs, and HUTONG_MQTT_URL, its user, HUTONG_MQTT_CA_FILE",
        )
        return
    yield good("broker", f"{place}: logged in")


def check_backup(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Find that no backup was made for long."""
    todo = "make one each night: hutong-cloud backup, see docs/operations.md"
    try:
        last = last_backup(settings)
        age = None if last is None else now - datetime.fromisoformat(last.at)
    except (BackupError, ValueError) as error:
        yield warning("backup", f"when the last one was made cannot be read: {error}", todo)
        return
    if last is None or age is None:
        yield warning("backup", "none was made here", todo)
    elif age > BACKUP_AGE:
        yield warning("backup", f"the newest is of {last.at}: {last.path}", todo)
    else:
        yield good("backup", f"of {last.at}: {last.path}")


def _check_wal(file: Path) -> Iterator[Finding]:
    wal = file.with_name(f"{file.name}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size > LARGE_WAL:
        yield warning(
            "write-ahead log",
            f"{wal}: {size // MIB} MiB: somebody has been reading for long",
            "end that program (lsof tells which), or restart hutong-cloud",
        )


def _is_taken(host: str, port: int) -> bool:
    try:
        socket.create_connection((_reachable(host), port), timeout=WAIT_S).close()
    except OSError:
        return False
    return True


def _is_ours(host: str, port: int) -> bool:
    connection = HTTPConnection(_reachable(host), port, timeout=WAIT_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status == _HTTP_OK and b'"status"' in answer.read(200)
    except (HTTPException, OSError):
        return False
    finally:
        connection.close()


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # it is no bind


async def _log_in(broker: Broker) -> None:
    async with asyncio.timeout(2 * WAIT_S), broker.client():
        pass
