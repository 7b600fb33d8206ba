"""Puts a gateway together: the only place that names the concrete classes."""

import asyncio
import signal
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.actuator import GatewayActuator, LiveConfig
from edge.clock import GatewayClock, SystemClock
from edge.clock_watch import ClockWatch
from edge.command_book import CommandBook
from edge.commander import Commander
from edge.config import GatewayConfig, RtuBus, Settings, TcpBus
from edge.journal import Journal, JournalError, Limits
from edge.learning import Learner
from edge.poller import BusPoller, PolledDevice
from edge.recorder import Recorder
from edge.schedule import Schedule
from edge.signing import Signer, key_path
from edge.uplink import Uplink
from protocols.delivery.records import Event
from protocols.io import backends
from protocols.io.key_file import open_key
from protocols.io.link import ModbusLink
from protocols.io.modbus_rtu_tcp import ModbusRtuTcpLink
from protocols.io.mqtt import Broker
from protocols.io.pacing import PacedLink
from protocols.io.rtu_dialogue import RtuDialogue

STOP_S = 2.0

log = structlog.get_logger("edge")


def firmware() -> str:
    """Return the version that this gateway runs."""
    return f"hutong {version('hutong')}"


def open_journal(config: GatewayConfig, settings: Settings) -> Journal:
    """Open the gateway's journal in its data folder."""
    limits = Limits(config.journal.max_mib << 20, config.journal.grace_days * 86_400)
    return Journal(journal_path(config, settings), config.gateway, limits=limits)


def journal_path(config: GatewayConfig, settings: Settings) -> Path:
    """Return where the gateway's journal is."""
    return settings.data_dir / f"{config.gateway}.journal"


def link_to(bus: TcpBus | RtuBus) -> ModbusLink:
    """Return the link to a bus by its backend, opened when first used; ConfigError without it."""
    timeout_s = bus.timeout_ms / 1000
    if isinstance(bus, RtuBus):
        return backends.open_rtu(bus.backend, bus.port, bus.wire, timeout_s=timeout_s)
    if bus.framing == "rtu":
        return ModbusRtuTcpLink(bus.host, bus.port, timeout_s=timeout_s)
    return backends.open_tcp(
        bus.backend,
        bus.host,
        bus.port,
        timeout_s=timeout_s,
        any_transaction=bus.any_transaction,
    )


def poller_of(
    config: GatewayConfig, bus: TcpBus | RtuBus, recorder: Recorder, clock: GatewayClock
) -> BusPoller:
    """Return the owner of a bus with its devices' drivers."""
    link = link_to(bus)
    devices: dict[str, PolledDevice] = {}
    for entry in config.on_bus(bus.id):
        meter = entry.meter(bus.wire, config.poll)
        learner = Learner(entry.id, meter, wire=bus.wire, journal=recorder.journal)
        devices[entry.id] = PolledDevice(learner, entry.plausibility(), entry.reporter())
    meters = {device: polled.meter for device, polled in devices.items()}
    periods = {
        device: sorted(frozenset().union(*meter.periods.values()))
        for device, meter in meters.items()
    }
    billing = frozenset(device for device, meter in meters.items() if meter.bills)
    return BusPoller(
        bus.id,
        PacedLink(
            link,
            gaps_s={meter.unit_id: meter.min_gap_s for meter in meters.values()},
            wire=bus.wire,
        ),
        devices,
        schedule=Schedule(periods, billing=billing),
        clock=clock,
        recorder=recorder,
        counts=link.counts if isinstance(link, RtuDialogue) else None,
    )


async def run(config: GatewayConfig, settings: Settings, *, file: Path | None = None) -> None:
    """Run a gateway until SIGTERM or SIGINT; what was read is on disk when this returns.

    `file` is where its configuration is read again when a command says so.

    JournalError if its disk fails: what is read could not be kept, and a supervisor starts anew.
    """
    key = open_key(key_path(settings.data_dir, config.gateway))
    journal = open_journal(config, settings)
    try:
        await _run(LiveConfig(config, file), settings, journal, key)
    except* JournalError as group:
        failure = _leaves(group)[0]
        log.critical("journal_failed", reason=str(failure))
        raise failure from None
    finally:
        journal.close()
        log.info("gateway_stopped", gateway=config.gateway)


async def _run(
    live: LiveConfig, settings: Settings, journal: Journal, key: Ed25519PrivateKey
) -> None:
    config = live.config
    clock = SystemClock(trusted=settings.trust_clock)
    uplink = Uplink(journal, _broker(settings), firmware(), clock)
    recorder = Recorder(
        journal,
        commit_s=config.poll.commit_s,
        online=uplink.connected.is_set,
        sealed=uplink.sealed,
    )
    signer = Signer(journal, key, clock=clock, sealed=uplink.sealed)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await recorder.note(_event("gateway_started"))
    log.info("gateway_started", gateway=config.gateway, devices=len(config.devices))
    try:
        async with asyncio.TaskGroup() as group:
            owners = [poller_of(config, bus, recorder, clock) for bus in config.buses]
            actuator = GatewayActuator({owner.bus: owner for owner in owners}, live, clock)
            book = CommandBook(journal, clock)
            commander = Commander(book, actuator, uplink, live=live, clock=clock)
            tasks = [
                group.create_task(commander.run(), name="commander"),
                group.create_task(uplink.run(), name="uplink"),
                group.create_task(recorder.run(), name="recorder"),
                group.create_task(signer.run(), name="signer"),
                group.create_task(ClockWatch(clock, recorder).run(), name="clock"),
                *(group.create_task(owner.run(), name=f"bus-{owner.bus}") for owner in owners),
            ]
            await stop.wait()
            await recorder.flush(seal=True)
            await recorder.note(_event("gateway_stopped"))
            for task in tasks:
                task.cancel()
        # nobody adds any more: the last signatures cover all of it
        await recorder.flush(seal=True)
        await signer.sign()
    finally:
        with suppress(JournalError):
            # a disk that fails was told of already
            await recorder.flush(seal=True)


def _leaves(group: BaseExceptionGroup[JournalError]) -> list[JournalError]:
    return [
        leaf
        for item in group.exceptions
        for leaf in (_leaves(item) if isinstance(item, BaseExceptionGroup) else [item])
    ]


def _broker(settings: Settings) -> Broker:
    return Broker.parse(settings.mqtt_url, settings.mqtt_ca_file)


def _event(kind: str) -> Event:
    clock = SystemClock()
    return Event("", kind, clock.now_us(), clock.monotonic_us(), {"firmware": firmware()})
