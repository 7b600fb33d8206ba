"""hutong-edge plan: which reads get the values, and how full they make the bus."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from devices.modbus_meter import ModbusMeter
from devices.profile import load_profile
from edge.choices import chosen
from edge.config import GatewayConfig, load
from protocols.errors import ConfigError
from protocols.modbus.plan import Block
from protocols.modbus.rounds import Round, bus_load
from protocols.modbus.wire import Wire

FULL = 1.0
# above this a silent meter's timeouts or a retry find no room
CROWDED = 0.8
LONGEST_PERIOD_S = 86_400

Blocks = list[dict[str, int]]


@dataclass(frozen=True, slots=True)
class Planned:
    """What one device, or several alike, asks of its bus; `count` is how many there are."""

    device: str
    rounds: tuple[Round, ...]
    count: int = 1


def plan(
    profile: Annotated[str | None, typer.Option(help="profile id or file")] = None,
    config: Annotated[Path | None, typer.Option(help="gateway file, instead of --profile")] = None,
    baud: Annotated[int, typer.Option(min=300)] = 9600,
    parity: Annotated[str, typer.Option(help="N, E or O")] = "N",
    turnaround_ms: Annotated[float, typer.Option(min=0)] = 20.0,
    points: Annotated[str, typer.Option(help="comma-separated; default: all")] = "",
    period_s: Annotated[int, typer.Option(min=1, max=LONGEST_PERIOD_S)] = 60,
    periods: Annotated[str, typer.Option(help="of single points: voltage=5,energy=900")] = "",
    devices: Annotated[int, typer.Option(min=1, max=247, help="as many on the bus")] = 1,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the reads that load a bus least, and warn where a schedule cannot fit."""
    if (profile is None) == (config is None):
        message = "--profile, --config: one of the two is needed, and only one"
        raise ConfigError(message)
    if config is not None:
        if points or periods or devices > 1:
            message = f"--config: {config}: has points, periods and devices of its own"
            raise ConfigError(message)
        _show_gateway(load(config), as_json=as_json)
        return
    known = load_profile(profile or "")
    wire = Wire(baud=baud, parity=_parity(parity), turnaround_s=turnaround_ms / 1000)
    names = chosen("--points", points, list(known.points))
    own = _periods(periods, names)
    paces = {name: (own.get(name, period_s),) for name in names}
    rounds = ModbusMeter(known, 1, names, wire=wire, periods=paces).rounds
    planned = Planned(known.id, rounds, devices)
    load_now = devices * bus_load(rounds, wire)
    if as_json:
        blocks = sorted(block for each in rounds for block in each.blocks)
        fields = {"blocks": _fields(blocks), "wire_ms": _wire_ms(blocks, wire)}
        typer.echo(json.dumps(fields | _detail(rounds, wire) | {"bus_load": round(load_now, 6)}))
    else:
        _print_rounds(rounds, wire)
        many = f" with {devices} such meters" if devices > 1 else ""
        typer.echo(f"{load_now:.1%} of the bus{many}")
    _warn(f"{baud} baud", [planned], load_now)


def _show_gateway(config: GatewayConfig, *, as_json: bool) -> None:
    shown: list[dict[str, object]] = []
    for bus in config.buses:
        wire = bus.wire
        planned = [
            Planned(entry.id, entry.meter(wire, config.poll).rounds)
            for entry in config.on_bus(bus.id)
        ]
        load_now = 0.0
        told: dict[str, object] = {"bus": bus.id, "kind": bus.kind}
        if wire is None:
            rate = sum(len(each.blocks) / each.period_s for one in planned for each in one.rounds)
            told["requests_per_s"] = round(rate, 6)
            summary = f"{rate:.2f} requests a second"
        else:
            load_now = sum(bus_load(one.rounds, wire) for one in planned)
            told["bus_load"] = round(load_now, 6)
            summary = f"{load_now:.1%} of the bus"
        told["devices"] = [{"device": one.device} | _detail(one.rounds, wire) for one in planned]
        shown.append(told)
        if not as_json:
            typer.echo(f"{bus.id}: {len(planned)} devices, {summary}")
            for one in planned:
                typer.echo(f"  {one.device}")
                _print_rounds(one.rounds, wire, indent="    ")
        _warn(f"bus {bus.id}", planned, load_now)
    if as_json:
        typer.echo(json.dumps({"buses": shown}))


def _warn(where: str, planned: Sequence[Planned], load_now: float) -> None:
    rounds = [each for one in planned for each in one.rounds]
    if load_now <= CROWDED or not rounds:
        return
    shortest_s = min(each.period_s for each in rounds)
    alike = "" if len({each.period_s for each in rounds}) == 1 else ", all others stretched alike"
    count = sum(one.count for one in planned)
    # a hair below a whole second is that second
    fits_s = math.ceil(shortest_s * load_now - 1e-9)
    roomy_s = math.ceil(shortest_s * load_now / CROWDED - 1e-9)
    told = f"{where}: {count} devices take {load_now:.2f} of the wire's time"
    if load_now > FULL:
        typer.echo(
            f"warning: {told}, more than there is; the shortest period that fits is {fits_s} s"
            f" instead of {shortest_s} s{alike} ({roomy_s} s leaves room for retries)",
            err=True,
        )
    else:
        typer.echo(
            f"hint: {told}, above {CROWDED} no room is left for retries; {roomy_s} s instead of"
            f" {shortest_s} s has it{alike}",
            err=True,
        )


def _detail(rounds: Sequence[Round], wire: Wire | None) -> dict[str, object]:
    return {
        "rounds": [
            {"period_s": each.period_s, "blocks": _fields(each.blocks)}
            | ({} if wire is None else {"wire_ms": _wire_ms(each.blocks, wire)})
            for each in rounds
        ]
    }


def _fields(blocks: Sequence[Block]) -> Blocks:
    return [
        {"function": block.function, "address": block.address, "count": block.count}
        for block in blocks
    ]


def _wire_ms(blocks: Sequence[Block], wire: Wire) -> float:
    return round(
        1000 * sum(wire.read_s(block.count, function=block.function) for block in blocks), 3
    )


def _print_rounds(rounds: Sequence[Round], wire: Wire | None, indent: str = "") -> None:
    for each in rounds:
        for block in each.blocks:
            took = "" if wire is None else f"  {_wire_ms([block], wire):.1f} ms"
            typer.echo(
                f"{indent}every {each.period_s} s  function {block.function}"
                f"  {block.address:#06x}  x{block.count}{took}"
            )
    if wire is not None:
        whole = [block for each in rounds for block in each.blocks]
        typer.echo(f"{indent}{_wire_ms(whole, wire):.1f} ms on the wire")


def _periods(text: str, points: Sequence[str]) -> dict[str, int]:
    periods: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        point, _, seconds = part.partition("=")
        if point not in points:
            message = f"--periods: {part!r}: allowed points are {', '.join(points)}"
            raise ConfigError(message)
        if not (seconds.isascii() and seconds.isdigit() and 1 <= int(seconds) <= LONGEST_PERIOD_S):
            message = f"--periods: {part!r}: allowed are whole seconds, 1..{LONGEST_PERIOD_S}"
            raise ConfigError(message)
        periods[point] = int(seconds)
    return periods


def _parity(text: str) -> str:
    if text not in ("N", "E", "O"):
        message = f"--parity: {text!r}: allowed are N, E, O"
        raise ConfigError(message)
    return text
