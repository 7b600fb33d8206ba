"""`hutong-site`: the simulated site as real servers, from the command line."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from devices.simulated.clock import SimClock
from devices.simulated.fault_kinds import fault_table
from devices.simulated.faults import parse_fault
from devices.simulated.load import Era, Load
from devices.simulated.replay import ReplayLoad, read_recording
from devices.simulated.servers import endpoints, servers_of
from devices.simulated.site import Site, build_site, load_site
from protocols.errors import ConfigError, HutongError

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
        typer.Option(help="TARGET=KIND[:AMOUNT][@start[,duration]]; `faults` shows the kinds"),
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
        asked = [parse_fault(text, launch_us=clock.now_us()) for text in fault or ()]
        built = build_site(file, faults=asked, replays=_replays(replay or (), file.era))
        asyncio.run(_serve(built, clock, tcp_port=tcp_port, pty=pty))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(BAD_CONFIG) from error
    except HutongError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(1) from error


@app.command()
def faults() -> None:
    """Show every misbehaviour that --fault knows: where, its amount, and what happens."""
    sys.stdout.write(f"{fault_table()}\n")


@app.command()
def demo(
    *,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="where the pages are")] = 8000,
    folder: Annotated[Path, typer.Option(help="what is kept between two starts")] = Path(".demo"),
    reset: Annotated[bool, typer.Option("--reset", help="forget it and start afresh")] = False,
) -> None:
    """Start the simulated estate, a gateway, a broker and the cloud until Ctrl-C."""
    # the demo's HTTP client is not needed to serve a site
    from devices.simulated.demo import Demo, DemoError  # noqa: PLC0415
    from devices.simulated.demo import reset as forget  # noqa: PLC0415

    try:
        if reset:
            forget(folder)
        asyncio.run(Demo(folder, port).run())
    except DemoError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(1) from error


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
        ready = {
            "ready": True,
            "site": built.file.site,
            "meters": len(built.file.meters),
            "endpoints": endpoints(servers),
            "clock": {
                "speed": clock.speed,
                "anchor_us": clock.anchor_us,
                "origin_us": clock.origin_us,
            },
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        for server in servers.values():
            await server.close()


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
