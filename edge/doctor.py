"""What may be wrong with a gateway: its file, serial ports, journal, broker and clock."""

import asyncio
import os
import shutil
import socket
import sqlite3
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import aiomqtt

from edge.bootstrap import journal_path
from edge.clock import is_disciplined
from edge.config import GatewayConfig, RtuBus, Settings, load
from edge.journal_errors import JournalError
from edge.journal_integrity import faults
from edge.journal_retention import ROOMY
from edge.journal_view import lane_status, open_view, overview
from protocols.delivery.envelope import LANES
from protocols.errors import ConfigError
from protocols.io.mqtt import Broker

Level = Literal["ok", "warning", "error"]

MIB: Final = 1 << 20
LITTLE_DISK: Final = 64 * MIB
LATE_BATCHES: Final = 100
WAIT_S: Final = 5.0


@dataclass(frozen=True)
class Finding:
    """One line of the doctor; `todo` is empty where nothing is to be done."""

    check: str
    level: Level
    means: str
    todo: str = ""


def examine(config_file: Path, settings: Settings) -> Iterator[Finding]:
    """Give what every check finds; nothing is changed, also beside a running gateway."""
    try:
        config = load(config_file)
    except ConfigError as error:
        for line in str(error).splitlines():
            yield Finding("config", "error", line, "correct the gateway file")
        return
    told = f"{config_file}: {len(config.devices)} devices on {len(config.buses)} buses"
    yield Finding("config", "ok", told)
    yield from _buses(config)
    yield from _journal(config, settings)
    yield from _disk(config, settings)
    yield _broker(settings)
    yield _clock(settings)


def _buses(config: GatewayConfig) -> Iterator[Finding]:
    for bus in config.buses:
        check = f"bus {bus.id}"
        if isinstance(bus, RtuBus):
            yield _serial(check, Path(bus.port))
            continue
        try:
            socket.create_connection((bus.host, bus.port), timeout=WAIT_S).close()
        except OSError as error:
            means = f"{bus.host}:{bus.port}: {error.strerror or error}"
            yield Finding(check, "error", means, "see its power, its cable and its address")
        else:
            yield Finding(check, "ok", f"{bus.host}:{bus.port} takes connections")


def _serial(check: str, port: Path) -> Finding:
    try:
        mode = port.stat().st_mode
    except OSError as error:
        todo = "see that the adapter is plugged in and the udev rule names it"
        return Finding(check, "error", f"{port}: {error.strerror}", todo)
    if not stat.S_ISCHR(mode):
        return Finding(check, "error", f"{port}: is no serial port", "correct the gateway file")
    if not os.access(port, os.R_OK | os.W_OK):
        todo = "put the gateway's user into the group dialout"
        return Finding(check, "error", f"{port}: may not be read and written", todo)
    return Finding(check, "ok", f"{port} may be read and written")


def _journal(config: GatewayConfig, settings: Settings) -> Iterator[Finding]:
    path = journal_path(config, settings)
    if not path.exists():
        yield Finding("journal", "warning", f"{path}: there is none", "start the gateway")
        return
    try:
        with open_view(path, config.gateway) as db:
            # one instant, while the gateway goes on
            db.execute("BEGIN")
            fault = next(faults(db, config.gateway), None)
            if fault is not None:
                todo = "start the gateway: it saves what is whole and tells the rest as lost"
                yield Finding("journal", "error", f"{path}: damaged: {fault}", todo)
                return
            whole = overview(db, path)
            waiting = sum(
                lane.next - 1 - lane.acked for lane in (lane_status(db, number) for number in LANES)
            )
    except (JournalError, sqlite3.Error) as error:
        yield Finding("journal", "error", str(error), "see docs/journal.md")
        return
    yield Finding("journal", "ok", f"{path}: whole, {whole.file_bytes // MIB} MiB")
    if whole.step != ROOMY:
        means = f"its disk or its limit is full: step {whole.step}"
        yield Finding("journal space", "error", means, "make room or raise journal.max_mib")
    if waiting > LATE_BATCHES:
        means = f"{waiting} batches wait for the cloud"
        yield Finding("backlog", "warning", means, "see the broker and the cloud; nothing is lost")


def _disk(config: GatewayConfig, settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    if not folder.exists():
        means, todo = f"{folder}: there is none", "make it, or set HUTONG_DATA_DIR"
        yield Finding("disk", "error", means, todo)
        return
    free = shutil.disk_usage(folder).free
    path = journal_path(config, settings)
    held = path.stat().st_size if path.exists() else 0
    means = f"{folder}: {free // MIB} MiB are free"
    if not os.access(folder, os.W_OK):
        means, todo = f"{folder}: may not be written", "give it to the gateway's user"
        yield Finding("disk", "error", means, todo)
    elif free < LITTLE_DISK:
        yield Finding("disk", "error", means, "make room")
    elif free + held < config.journal.max_mib * MIB:
        todo = "make room, or lower journal.max_mib"
        yield Finding("disk", "warning", f"{means}: less than journal.max_mib", todo)
    else:
        yield Finding("disk", "ok", means)


def _broker(settings: Settings) -> Finding:
    broker = Broker.parse(settings.mqtt_url, settings.mqtt_ca_file)
    place = f"{'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
    try:
        asyncio.run(_log_in(broker))
    except (aiomqtt.MqttError, ssl.SSLError, OSError, TimeoutError) as error:
        means = f"{place}: {str(error) or 'no answer'}: readings stay here till it can be reached"
        todo = "see the network, HUTONG_MQTT_URL, its user, HUTONG_MQTT_CA_FILE"
        return Finding("broker", "error", means, todo)
    return Finding("broker", "ok", f"{place}: logged in")


def _clock(settings: Settings) -> Finding:
    if settings.trust_clock:
        return Finding("clock", "ok", "trusted by HUTONG_TRUST_CLOCK")
    if is_disciplined():
        return Finding("clock", "ok", "kept by a time server")
    means = "nobody keeps it: readings wait for the cloud's time before they are billed"
    return Finding("clock", "warning", means, "let chrony or systemd-timesyncd keep it")


async def _log_in(broker: Broker) -> None:
    async with asyncio.timeout(2 * WAIT_S), broker.client():
        pass
