"""hutong-edge scan: which meters hang on a bus, and a gateway file for them."""

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from devices.profile import profile_ids
from edge.choices import chosen
from edge.config import RtuBus, TcpBus
from edge.recognition import Edition, editions_of
from edge.scan import Step, search
from edge.scan_lines import settings_to_try, unit_ids
from edge.scan_report import fields, gateway_file, line_text, reviewed, row
from edge.scan_unit import Found, Line
from protocols.errors import ConfigError, LinkError

# A gateway waits for its own line: asked again too soon, it lags behind with every absent unit.
TCP_TIMEOUT_MS = 1000
RTU_TIMEOUT_MS = 300


def scan(
    host: Annotated[str | None, typer.Option(help="a Modbus TCP endpoint")] = None,
    port: Annotated[str | None, typer.Option(help="a serial device, like /dev/ttyUSB0")] = None,
    tcp_port: Annotated[int, typer.Option(min=1, max=65_535)] = 502,
    bauds: Annotated[str, typer.Option(help="like 9600,2400; default: the likely ones")] = "",
    parities: Annotated[str, typer.Option(help="of N, E, O; default: the likely ones")] = "",
    stop_bits: Annotated[str, typer.Option(help="of 1, 2; default: the likely ones")] = "",
    units: Annotated[str, typer.Option(help="default: 1-247, on TCP 255 too")] = "",
    timeout_ms: Annotated[
        int | None, typer.Option(min=10, max=60_000, help="default: 300 serial, 1000 TCP")
    ] = None,
    profiles: Annotated[str, typer.Option(help="only these; default: all that ship")] = "",
    out: Annotated[Path | None, typer.Option(help="write a gateway file here")] = None,
    gateway: Annotated[str, typer.Option(help="the gateway's id in that file")] = "gateway-1",
    *,
    all_lines: Annotated[
        bool, typer.Option("--all-lines", help="Try every line setting, also after one answered.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object per unit.")
    ] = False,
) -> None:
    """Find the meters of a bus by reads alone; stop `run` first, a bus has one master.

    Ctrl-C ends it with what was found so far. Exit code 1 if nothing was recognised.
    """
    lines = _lines(host, port, tcp_port, (bauds, parities, stop_bits), timeout_ms)
    least, most, default = (1, 247, "1-247") if host is None else (0, 255, "1-247,255")
    wanted = unit_ids(units or default, least=least, most=most)
    editions = editions_of(chosen("--profiles", profiles, profile_ids()))
    _check_out(out, gateway)
    results = _Results()
    with _progress() as progress:
        try:
            asyncio.run(_search(lines, wanted, editions, results, progress, all_lines=all_lines))
        except KeyboardInterrupt:
            results.stopped = True
    found, notes = reviewed(results.found, results.asked)
    for line, note in notes.items():
        results.note(line, note)
    _show(found, as_json=as_json)
    for line, note in results.notes.items():
        sys.stderr.write(f"{line_text(line)}: {note}\n")
    recognised = sum(one.best is not None for one in found)
    summary = (
        f"{'stopped: ' if results.stopped else ''}{recognised} recognised of {len(found)} found,"
        f" {sum(results.asked.values())} unit ids asked on {len(results.asked)} lines"
    )
    if out is not None:
        summary += f"; {_written(out, gateway_file(gateway, found, results.notes))}"
    typer.echo(summary, err=as_json)
    if not recognised:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Results:
    """What there is when the search ends, or is stopped."""

    found: list[Found] = field(default_factory=list)
    asked: dict[Line, int] = field(default_factory=dict)
    notes: dict[Line, str] = field(default_factory=dict)
    stopped: bool = False

    def note(self, line: Line, note: str) -> None:
        """Keep what concerns a whole line."""
        before = self.notes.get(line)
        self.notes[line] = note if before is None else f"{before}; {note}"


async def _search(
    lines: Sequence[Line],
    units: Sequence[int],
    editions: Sequence[Edition],
    results: _Results,
    progress: Progress,
    *,
    all_lines: bool,
) -> None:
    gap_s = max(edition.meter.rules.min_gap_ms for edition in editions) / 1000
    for line in lines:
        task = progress.add_task(line_text(line), total=len(units))
        answered = False
        try:
            async with aclosing(search(line, units, editions, gap_s=gap_s)) as steps:
                async for step in steps:
                    progress.update(task, completed=units.index(step.unit_id) + 1)
                    answered = _take(step, results, progress) or answered
        except LinkError as error:
            results.note(line, str(error))
            return
        finally:
            progress.remove_task(task)
        if answered and not all_lines:
            return


def _take(step: Step, results: _Results, progress: Progress) -> bool:
    if step.note:
        results.note(step.line, step.note)
        return False
    results.asked[step.line] = results.asked.get(step.line, 0) + 1
    found = step.found
    if found is None:
        return False
    results.found.append(found)
    bus, unit_id, profile, evidence, *_ = row(found)
    progress.console.print(f"{bus} unit {unit_id}: {profile}: {evidence}", markup=False)
    return found.here


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False, soft_wrap=True),
        transient=True,
    )


def _lines(
    host: str | None,
    port: str | None,
    tcp_port: int,
    settings: tuple[str, str, str],
    timeout_ms: int | None,
) -> list[Line]:
    if (host is None) == (port is None):
        message = "--host, --port: allowed is exactly one of them"
        raise ConfigError(message)
    if host is not None:
        if any(settings):
            message = "--bauds, --parities, --stop-bits: belong to --port"
            raise ConfigError(message)
        limit_ms = timeout_ms or TCP_TIMEOUT_MS
        bus = TcpBus(id="tcp-1", kind="modbus-tcp", host=host, port=tcp_port, timeout_ms=limit_ms)
        return [Line(bus)]
    return [
        Line(
            RtuBus(
                id=f"rtu-{setting}",
                kind="modbus-rtu",
                port=port or "",
                baud=setting.baud,
                parity=setting.parity,
                stop_bits=setting.stop_bits,
                timeout_ms=timeout_ms or RTU_TIMEOUT_MS,
            )
        )
        for setting in settings_to_try(*settings)
    ]


def _check_out(out: Path | None, gateway: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", gateway):
        message = f"--gateway: {gateway!r}: allowed are 1..64 letters, digits, and _ . -"
        raise ConfigError(message)
    if out is None:
        return
    if out.exists() or out.is_symlink():
        message = f"--out: {out}: exists already, allowed is a new file"
        raise ConfigError(message)
    if not out.parent.is_dir():
        message = f"--out: {out}: allowed is a file in a folder that exists"
        raise ConfigError(message)


def _written(out: Path, text: str | None) -> str:
    if text is None:
        return f"{out} not written, there is nothing to put in it"
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        message = f"--out: {out}: cannot be written: {error.strerror}"
        raise ConfigError(message) from error
    return f"written to {out}"


def _show(found: Sequence[Found], *, as_json: bool) -> None:
    if as_json:
        for one in found:
            typer.echo(json.dumps(fields(one)))
        return
    if not found:
        return
    table = Table("bus", "unit id", "profile", "evidence", "might also be", "warnings")
    for one in found:
        table.add_row(*map(escape, row(one)))
    console = Console()
    # no terminal, no width: lines as long as they are can be searched
    console = console if console.is_terminal else Console(width=_WIDE)
    console.print(table)


_WIDE = 240
