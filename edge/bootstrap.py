"""Puts a gateway together: the only place that names the concrete classes."""

import asyncio
import signal
from importlib.metadata import version

import structlog

from devices.driver import Link
from edge.clock import SystemClock
from edge.config import GatewayConfig, RtuBus, Settings, TcpBus
from edge.journal import Journal
from edge.poller import BusPoller
from edge.recorder import Recorder
from edge.schedule import Schedule
from edge.uplink import Uplink
from protocols.delivery.records import Event
from protocols.io import backends
from protocols.io.mqtt import Broker
from protocols.io.pacing import PacedLink

STOP_S = 2.0

log = structlog.get_logger("edge")


def firmware() -> str:
    """Return the version that this gateway runs."""
    return f"hutong {version('hutong')}"


def open_journal(config: GatewayConfig, settings: Settings) -> Journal:
    """Open the gateway's journal in its data folder."""
    return Journal(settings.data_dir / f"{config.gateway}.journal", config.gateway)


def link_to(bus: TcpBus | RtuBus) -> Link:
    """Return the link to a bus by its backend, opened when first used; ConfigError without it."""
    timeout_s = bus.timeout_ms / 1000
    if isinstance(bus, TcpBus):
        return backends.open_tcp(bus.backend, bus.host, bus.port, timeout_s=timeout_s)
    return backends.open_rtu(bus.backend, bus.port, bus.wire, timeout_s=timeout_s)


def poller_of(config: GatewayConfig, bus: TcpBus | RtuBus, recorder: Recorder) -> BusPoller:
    """Return the owner of a bus with its devices' drivers."""
    wire = bus.wire if isinstance(bus, RtuBus) else None
    meters = {device.id: device.meter(wire) for device in config.on_bus(bus.id)}
    gaps_s = {meter.unit_id: meter.min_gap_s for meter in meters.values()}
    return BusPoller(
        bus.id,
        PacedLink(link_to(bus), gaps_s=gaps_s),
        meters,
        schedule=Schedule(config.periods(bus.id)),
        clock=SystemClock(),
        recorder=recorder,
        reporters={
            device.id: device.reporter() for device in config.on_bus(bus.id) if device.report
        },
    )


async def run(config: GatewayConfig, settings: Settings) -> None:
    """Run a gateway until SIGTERM or SIGINT; what was read is on disk when this returns."""
    journal = open_journal(config, settings)
    uplink = Uplink(journal, Broker.parse(settings.mqtt_url), firmware())
    recorder = Recorder(
        journal,
        commit_s=config.poll.commit_s,
        online=uplink.connected.is_set,
        sealed=uplink.sealed,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await recorder.note(_event("gateway_started"))
    log.info("gateway_started", gateway=config.gateway, devices=len(config.devices))
    try:
        async with asyncio.TaskGroup() as group:
            owners = [poller_of(config, bus, recorder) for bus in config.buses]
            tasks = [
                group.create_task(uplink.run(), name="uplink"),
                group.create_task(recorder.run(), name="recorder"),
                *(group.create_task(owner.run(), name=f"bus-{owner.bus}") for owner in owners),
            ]
            await stop.wait()
            await recorder.flush(seal=True)
            await recorder.note(_event("gateway_stopped"))
            for task in tasks:
                task.cancel()
    finally:
        await recorder.flush(seal=True)
        journal.close()
        log.info("gateway_stopped", gateway=config.gateway)


def _event(kind: str) -> Event:
    clock = SystemClock()
    return Event("", kind, clock.now_us(), clock.monotonic_us(), {"firmware": firmware()})
