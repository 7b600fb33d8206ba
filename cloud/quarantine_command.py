"""hutong-cloud quarantine: look at what could not be stored, replay or discard it."""

import json
import time
from typing import Annotated

import typer

from cloud.config import Settings
from cloud.database import opened
from cloud.ingest import quarantine
from cloud.ingest.quarantine import Item
from protocols.delivery.records import decimal_text, instant

quarantine_app = typer.Typer(no_args_is_help=True, help="What was delivered and not stored.")

Number = Annotated[int, typer.Argument(help="its number in the list")]
By = Annotated[str, typer.Option(help="who decides")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@quarantine_app.command("list")
def list_items(
    *,
    every: Annotated[bool, typer.Option("--all", help="what was decided too")] = False,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """List what waits for a decision."""
    with opened(Settings().database) as engine, engine.connect() as connection:
        found, total = quarantine.items(connection, open_only=not every, limit=limit)
    for item in found:
        typer.echo(json.dumps(_fields(item)) if as_json else _line(item))
    if not as_json:
        typer.echo(f"{len(found)} of {total}")


@quarantine_app.command("show")
def show(number: Number, *, as_json: AsJson = False) -> None:
    """Show what one thing holds, as far as it can be read."""
    with opened(Settings().database) as engine, engine.connect() as connection:
        item = quarantine.item(connection, number)
        inside = quarantine.contents(connection, number)
    readings = [
        {
            "device": row.device,
            "point": row.point,
            "value": decimal_text(row.count, row.exponent),
            "uom": row.uom,
            "read_at": instant(row.read_at_us).isoformat() if 0 <= row.read_at_us < _LAST else None,
        }
        for row in inside.readings
    ]
    if as_json:
        fields = _fields(item) | {"readings": readings, "problem": inside.problem}
        fields |= {"clock_quality": inside.clock_quality, "replaces": inside.replaces}
        typer.echo(json.dumps(fields | {"events": len(inside.events), "hex": inside.body.hex()}))
        return
    typer.echo(_line(item))
    held = f"{len(readings)} readings, {len(inside.events)} events, clock {inside.clock_quality}"
    typer.echo(inside.problem or held)
    for told in readings[:_SHOWN]:
        typer.echo("  ".join(str(part) for part in told.values()))
    typer.echo(f"{len(inside.body)} bytes: {inside.body[:32].hex(' ')} ...")


@quarantine_app.command("replay")
def replay(
    number: Number,
    by: By = "operator",
    *,
    may_die: Annotated[
        bool, typer.Option("--may-die", help="also what ended the worker that read it")
    ] = False,
) -> None:
    """Store what this version can read of it and did not store before."""
    now_us = time.time_ns() // 1000
    with opened(Settings().database) as engine, engine.begin() as connection:
        again = quarantine.replay(connection, number, by=by, now_us=now_us, may_die=may_die)
    typer.echo(f"{again.stored} readings stored")
    if again.waiting:
        typer.echo(f"{again.waiting} readings wait for the time")


@quarantine_app.command("discard")
def discard(
    number: Number, note: Annotated[str, typer.Option(help="why")], by: By = "operator"
) -> None:
    """Note that it is of no use; its bytes are kept."""
    with opened(Settings().database) as engine, engine.begin() as connection:
        now_us = time.time_ns() // 1000
        quarantine.discard(connection, number, by=by, note=note, now_us=now_us)
    typer.echo(f"number {number} is discarded")


def _fields(item: Item) -> dict[str, str | int | None]:
    return {
        "id": item.id,
        "gateway": item.gateway_id,
        "lane": item.lane,
        "batch_id": item.batch_id.hex(),
        "reason": item.reason,
        "bytes": item.size,
        "received_at": instant(item.received_us).isoformat(),
        "decision": item.decision,
        "decided_by": item.decided_by,
        "note": item.note,
    }


def _line(item: Item) -> str:
    state = "open" if item.decision is None else f"{item.decision} by {item.decided_by}"
    received = instant(item.received_us).isoformat(timespec="seconds")
    return f"{item.id}  {received}  {item.gateway_id}  lane {item.lane}  {state}  {item.reason}"


_SHOWN = 20
# the year 9999
_LAST = 253_402_300_800_000_000
