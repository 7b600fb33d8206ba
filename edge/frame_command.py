"""hutong-edge frame: what any frame of any meter means, for one pasted dump or line by line."""

import json
import sys
from typing import Annotated, Protocol, cast

import typer

from protocols import cjt188, dlt645, mbus
from protocols.errors import ConfigError, WireError
from protocols.modbus.judge import judge_rtu, judge_tcp
from protocols.verdict import KINDS, Kind, Verdict, parse_hex, reject


class Judge(Protocol):
    """Says what bytes of one protocol are, of which kind, and in answer to which request."""

    def __call__(self, buffer: bytes, *, kind: Kind | None, request: bytes | None) -> Verdict:
        """The verdict; never raises on any bytes."""


JUDGES: dict[str, Judge] = {
    "modbus-rtu": judge_rtu,
    "modbus-tcp": judge_tcp,
    "dlt645": dlt645.judge,
    "cjt188": cjt188.judge,
    "mbus": mbus.judge,
}
KEYS = ("id", "protocol", "kind", "request", "hex")


def frame(
    hex_text: Annotated[str, typer.Option("--hex", help="a pasted dump; - reads JSON lines")],
    protocol: Annotated[str | None, typer.Option(help=", ".join(JUDGES))] = None,
    kind: Annotated[str | None, typer.Option(help="request or response; default: either")] = None,
    request: Annotated[str | None, typer.Option(help="the frame it must answer, in hex")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a frame means; with a request, whether it is the right answer to it."""
    given = {"protocol": protocol, "kind": kind, "request": request}
    if hex_text == "-":
        # the options are the defaults of every line
        defaults = {key: value for key, value in given.items() if value is not None}
        for line in sys.stdin.buffer:
            if line.strip():
                typer.echo(json.dumps(answer(line, defaults)))
        return
    if protocol not in JUDGES:
        message = f"--protocol: {protocol!r}: allowed are {', '.join(JUDGES)}"
        raise ConfigError(message)
    if kind is not None and kind not in KINDS:
        message = f"--kind: {kind!r}: allowed are {', '.join(KINDS)}"
        raise ConfigError(message)
    shown = _shown(_judged(protocol, kind, request, hex_text))
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for key, value in shown.items():
        if value not in (None, [], {}):
            text = value if isinstance(value, str) else json.dumps(value)
            typer.echo(f"{key}: {text}")


def answer(line: bytes, defaults: dict[str, str] | None = None) -> dict[str, object]:
    """The answer to one JSON line, whatever it holds; its id first."""
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"id": None, **_shown(reject(f"no JSON: {error}"))}
    if not isinstance(asked, dict):
        reason = f"no JSON object but {type(asked).__name__}: allowed keys are {', '.join(KEYS)}"
        return {"id": None, **_shown(reject(reason))}
    known = {**(defaults or {}), **{key: asked[key] for key in asked if asked[key] is not None}}
    fault = _line_fault(known)
    if fault:
        return {"id": asked.get("id"), **_shown(reject(fault))}
    verdict = _judged(known["protocol"], known.get("kind"), known.get("request"), known["hex"])
    return {"id": asked.get("id"), **_shown(verdict)}


def _line_fault(line: dict[str, object]) -> str | None:
    allowed: dict[str, tuple[str, ...]] = {"protocol": tuple(JUDGES), "kind": KINDS}
    for key in line:
        if key not in KEYS:
            return f"{key[:40]!r}: unknown key: allowed are {', '.join(KEYS)}"
    for key in ("protocol", "hex"):
        if key not in line:
            return f"{key}: missing"
    for key, value in line.items():
        if key == "id":
            continue
        if not isinstance(value, str):
            return f"{key}: {type(value).__name__}: must be text"
        if key in allowed and value not in allowed[key]:
            return f"{key}: {value[:40]!r}: allowed are {', '.join(allowed[key])}"
    return None


def _judged(protocol: str, kind: str | None, request: str | None, dump: str) -> Verdict:
    try:
        buffer = parse_hex(dump)
    except WireError as error:
        return reject(str(error))
    try:
        asked = None if request is None else parse_hex(request)
    except WireError as error:
        return reject(f"request: {error}")
    return JUDGES[protocol](buffer, kind=cast("Kind | None", kind), request=asked)


def _shown(verdict: Verdict) -> dict[str, object]:
    return {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "unit_id": verdict.unit_id,
        "function": verdict.function,
        "exception": verdict.exception,
        "words": list(verdict.words),
        "fields": dict(verdict.fields),
    }
