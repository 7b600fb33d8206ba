"""hutong-edge: the gateway and its tools."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from pydantic import ValidationError

from devices.driver import Sample
from devices.virtual_clock import VirtualClock
from edge import bootstrap
from edge.backfill import backfill
from edge.clock import SystemClock
from edge.commands_command import commands_app
from edge.config import RtuBus, Settings, load
from edge.doctor import examine
from edge.frame_command import frame
from edge.journal_command import journal_app
from edge.key_command import key_app
from edge.plan_command import plan
from edge.profile_commands import decode, profile_app
from edge.scan_command import scan
from protocols.delivery.records import decimal_text, instant, microseconds
from protocols.errors import ConfigError, HutongError, ProtocolError
from protocols.io import event_loop, logs

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
app.add_typer(journal_app, name="journal")
app.add_typer(profile_app, name="profile")
app.add_typer(key_app, name="key")
app.add_typer(commands_app, name="commands")
app.command("decode")(decode)
app.command("frame")(frame)
app.command("plan")(plan)
app.command("scan")(scan)

Config = Annotated[Path, typer.Option(help="the gateway file")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

BAD_CONFIG = 2


def main() -> None:
    """Run the program."""
    logs.configure("text")
    try:
        app()
    except ValidationError as error:
        for fault in error.errors():
            key = "HUTONG_" + ".".join(map(str, fault["loc"])).upper()
            # a URL may hold a password
            shown = "" if key.endswith("_URL") else f"{fault['input']!r}: "
            sys.stderr.write(f"environment: {key}: {shown}{fault['msg']}\n")
        sys.exit(BAD_CONFIG)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(BAD_CONFIG)
    except HutongError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


@app.command()
def run(config: Config) -> None:
    """Poll, keep and deliver until stopped."""
    settings = Settings()
    logs.configure(settings.log_format)
    event_loop.run(bootstrap.run(load(config), settings, file=config))


@app.command()
def check(config: Config) -> None:
    """Check a gateway file; exit 2 and one line per fault."""
    checked = load(config)
    typer.echo(f"{config}: {len(checked.devices)} devices on {len(checked.buses)} buses")


@app.command()
def doctor(config: Config, *, as_json: AsJson = False) -> None:
    """Say what is wrong with this gateway, what it means and what to do; 1 for errors."""
    found = list(examine(config, Settings()))
    if as_json:
        typer.echo(json.dumps([vars(item) for item in found], ensure_ascii=False))
    else:
        for item in found:
            typer.echo(f"{item.level:8} {item.check}: {item.means}")
            if item.todo:
                typer.echo(f"{'':8} -> {item.todo}")
    if any(item.level == "error" for item in found):
        raise typer.Exit(1)


@app.command()
def read(
    config: Config,
    device: Annotated[str | None, typer.Option(help="only this device")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Poll once and print one line per reading."""
    checked = load(config)
    if device is not None and device not in {entry.id for entry in checked.devices}:
        message = f"{config}: --device: {device!r}: is none of its devices"
        raise ConfigError(message)
    failed = asyncio.run(_read(config, device, as_json=as_json))
    if failed:
        raise typer.Exit(1)


@app.command("backfill")
def fill_back(
    config: Config,
    site: Annotated[Path, typer.Option(help="the simulated site's file")],
    since: Annotated[str, typer.Option(help="first day, YYYY-MM-DD, in the site's time zone")],
    period_s: Annotated[int, typer.Option(min=1)] = 900,
) -> None:
    """Poll a simulated site's past into the journal, as if offline; prints progress as JSON."""
    # numpy and the simulator are no part of a gateway's own install
    from devices.simulated.memory import MemoryLink  # noqa: PLC0415
    from devices.simulated.site import build_site, load_site  # noqa: PLC0415

    checked = load(config)
    file = load_site(site)
    clock = VirtualClock(0)
    built = build_site(file)
    links = {bus.id: MemoryLink(built.on_bus(bus.id), clock) for bus in checked.buses}
    meters = {entry.id: (entry.meter(None), links[entry.bus].answer) for entry in checked.devices}
    begin = datetime.combine(
        date.fromisoformat(since), datetime.min.time(), ZoneInfo(file.time_zone)
    )
    journal = bootstrap.open_journal(checked, Settings())
    now_us = time.time_ns() // 1000
    for part in backfill(
        journal, meters, clock, from_us=microseconds(begin), to_us=now_us, period_s=period_s
    ):
        typer.echo(json.dumps({"done": round(part, 4)}))
    journal.close()


async def _read(config: Path, wanted: str | None, *, as_json: bool) -> int:
    checked = load(config)
    clock = SystemClock()
    failed = 0
    for bus in checked.buses:
        link = bootstrap.link_to(bus)
        wire = bus.wire if isinstance(bus, RtuBus) else None
        for entry in checked.on_bus(bus.id):
            if wanted is not None and entry.id != wanted:
                continue
            try:
                samples = await entry.meter(wire).read(link, clock)
            except ProtocolError as error:
                sys.stderr.write(f"{entry.id}: {error}\n")
                failed += 1
                continue
            _show(entry.id, samples, as_json=as_json)
        await link.close()
    return failed


def _show(device: str, samples: Sequence[Sample], *, as_json: bool) -> None:
    for sample in samples:
        fields = {
            "device": device,
            "point": sample.point,
            "value": decimal_text(sample.count, sample.exponent),
            "uom": sample.uom,
            "read_at": instant(sample.at_us).isoformat(),
            "quality": sample.quality,
            "words": " ".join(f"{word:04x}" for word in sample.words),
        }
        typer.echo(
            json.dumps(fields) if as_json else "  ".join(str(part) for part in fields.values())
        )
