"""`hutong-site`: the simulated site as real servers, from the command line."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from devices.simulated.clock import SimClock
from devices.simulated.faults import parse_fault
from devices.simulated.load import Era, Load
from devices.simulated.replay import ReplayLoad, read_recording
from devices.simulated.rtu_server import RtuServer
from devices.simulated.site import Site, SiteFile, SiteRtuBus, SiteTcpBus, build_site, load_site
from devices.simulated.tcp_server import TcpServer
from protocols.errors import ConfigError, HutongError
from protocols.modbus.wire import Wire

# A real meter thinks about this long before it answers.
TURNAROUND_S = 0.01
BAD_CONFIG = 2

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="A simulated site of real servers."
)


@app.callback()
def site() -> None:
    """Serve a simulated site; more commands are mounted on `app`."""


@app.command()
def run(
    *,
    config: Annotated[Path, typer.Option(help="the site file")],
    speed: Annotated[float, typer.Option(min=0.001, help="site seconds per second")] = 1.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="device=offline|silent|stuck|zero-once[@start[,duration]]"),
    ] = None,
    replay: Annotated[
        list[str] | None, typer.Option(help="device=FILE of `unix_time flow` lines, l/h")
    ] = None,
    tcp_port: Annotated[
        int | None,
        typer.Option(envvar="HUTONG_SITE_TCP_PORT", help="instead of the first TCP bus's port"),
    ] = None,
    pty: Annotated[
        Path | None,
        typer.Option(envvar="HUTONG_SITE_PTY", help="instead of the first serial bus's path"),
    ] = None,
    anchor_us: Annotated[
        int | None, typer.Option(help="site time at the origin, microseconds UTC; default is now")
    ] = None,
    origin_us: Annotated[
        int | None,
        typer.Option(help="CLOCK_MONOTONIC microseconds at which site time is the anchor"),
    ] = None,
) -> None:
    """Serve a site until SIGTERM or SIGINT; prints one JSON line when it listens."""
    try:
        clock = SimClock(speed, anchor_us=anchor_us, origin_us=origin_us)
        file = load_site(config)
        faults = [parse_fault(text, launch_us=clock.now_us()) for text in fault or ()]
        built = build_site(file, faults=faults, replays=_replays(replay or (), file.era))
        asyncio.run(_serve(built, clock, tcp_port=tcp_port, pty=pty))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(BAD_CONFIG) from error
    except HutongError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(1) from error


def servers_of(
    built: Site, clock: SimClock, *, tcp_port: int | None = None, pty: Path | None = None
) -> dict[str, TcpServer | RtuServer]:
    """A server per bus id, not yet started; port and pty replace those of the first such bus."""
    servers: dict[str, TcpServer | RtuServer] = {}
    for bus in built.file.buses:
        meters = built.on_bus(bus.id)
        if isinstance(bus, SiteTcpBus):
            port, tcp_port = (bus.port if tcp_port is None else tcp_port), None
            servers[bus.id] = TcpServer(meters, clock, host=bus.host, port=port)
        else:
            path, pty = pty or Path(bus.path), None
            servers[bus.id] = RtuServer(meters, clock, path=path, wire=wire_of(bus))
    return servers


def wire_of(bus: SiteRtuBus) -> Wire:
    """The wire of a serial bus of a site file."""
    return Wire(
        baud=bus.baud, parity=bus.parity, stop_bits=bus.stop_bits, turnaround_s=TURNAROUND_S
    )


def main() -> None:
    """Entry point of `hutong-site`."""
    app()


async def _serve(built: Site, clock: SimClock, *, tcp_port: int | None, pty: Path | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    servers = servers_of(built, clock, tcp_port=tcp_port, pty=pty)
    try:
        for server in servers.values():
            await server.start()
        sys.stdout.write(json.dumps(_ready(built.file, clock, servers)) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        for server in servers.values():
            await server.close()


def _ready(
    file: SiteFile, clock: SimClock, servers: dict[str, TcpServer | RtuServer]
) -> dict[str, object]:
    return {
        "ready": True,
        "site": file.site,
        "meters": len(file.meters),
        "endpoints": {
            bus_id: {"kind": "modbus-tcp", "host": server.host, "port": server.port}
            if isinstance(server, TcpServer)
            else {"kind": "modbus-rtu", "port": str(server.path)}
            for bus_id, server in servers.items()
        },
        "clock": {
            "speed": clock.speed,
            "anchor_us": clock.anchor_us,
            "origin_us": clock.origin_us,
        },
    }


def _replays(options: list[str] | tuple[()], era: Era) -> dict[str, Load]:
    loads: dict[str, Load] = {}
    for option in options:
        device, _, file = option.partition("=")
        if not device or not file:
            message = f"--replay: {option!r}: allowed is device=FILE"
            raise ConfigError(message)
        recording = read_recording(Path(file))
        sys.stderr.write(
            f"replay: {device}: {recording.samples} lines, {recording.dropped} dropped as no flow"
            " in l/h\n"
        )
        loads[device] = ReplayLoad(recording, era)
    return loads
