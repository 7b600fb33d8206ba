"""What a scan found, put into words: faults of the whole bus, rows, JSON and a gateway file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edge.config import RtuBus
from edge.recognition import Candidate, filling
from edge.scan_unit import Found, Line
from protocols.delivery.records import words_to_bytes, words_to_hex
from protocols.modbus.plan import Block

LEAST_TIMEOUT_MS = 1000


def reviewed(
    found: Sequence[Found], asked: Mapping[Line, int]
) -> tuple[list[Found], dict[Line, str]]:
    """What is left when all of a line is seen together, and a note on a line; `asked` in units."""
    notes: dict[Line, str] = {}
    alive = {one.line for one in found if one.here}
    left = [one for one in found if one.here or one.line in alive or not alive]
    for line, count in asked.items():
        noisy = [one for one in left if one.line == line and not one.here]
        if len(noisy) >= max(_FEW, count / 2):
            left = [one for one in left if one not in noisy]
            notes[line] = (
                f"{len(noisy)} of {count} unit ids gave bytes but no frame: other line settings,"
                " an adapter that hears itself, or a line without bias resistors"
            )
        here = [one for one in left if one.line == line and one.here]
        if len(here) > 1 and all(filling(one.answers) == 0 for one in here):
            notes[line] = (
                "all units answer zeros to everything: a gateway answers for meters that are not"
                " there"
            )
    twins = _twins(left)
    for line in asked:
        here = [one for one in left if one.line == line and one.here]
        if len(here) > 1 and sum((line, one.unit_id) in twins for one in here) == len(here) - 1:
            notes[line] = (
                "all units answer the same words: a gateway answers for meters that are not there"
            )
    return [_warned(one, twins) for one in left], notes


def is_copy(one: Found) -> bool:
    """Whether a reviewed unit only says what another one has said already."""
    return any(warning.startswith(_COPY) for warning in one.warnings)


def line_text(line: Line) -> str:
    """A line's name, which is also the id of its bus in a gateway file."""
    bus = line.bus
    return f"{bus.id} (RTU over TCP)" if line.rtu_over_tcp else bus.id


def fields(one: Found) -> dict[str, object]:
    """A unit as one JSON object."""
    best = one.best
    return {
        "unit_id": one.unit_id,
        "bus": one.line.bus.id,
        "profile": None if best is None else best.edition.profile,
        "variant": None if best is None else best.edition.variant,
        "evidence": evidence(one),
        "candidates": [
            {
                "profile": candidate.edition.profile,
                "variant": candidate.edition.variant,
                "exact": candidate.exact,
                "fits": candidate.fits,
                "misfits": candidate.misfits,
                "evidence": candidate.evidence,
            }
            for candidate in one.candidates
        ],
        "warnings": list(one.warnings),
        "words": {
            f"{block.function}:{block.address:#06x}": words_to_hex(words_to_bytes(words))
            for block, words in one.answers.items()
            if words is not None
        },
    }


def evidence(one: Found) -> str:
    """Why a unit is what it is taken for, or what is known of one that is not recognised."""
    if one.best is not None:
        return one.best.evidence
    if not one.here:
        return "only spoiled answers"
    heard = sum(words is not None for words in one.answers.values())
    return f"answers, {heard} of {len(one.answers)} reads with words; no fingerprint fits"


def row(one: Found) -> tuple[str, str, str, str, str, str]:
    """A unit as texts: bus, unit id, profile, evidence, other candidates, warnings."""
    best = one.best
    return (
        line_text(one.line),
        str(one.unit_id),
        "?" if best is None else str(best.edition),
        evidence(one),
        ", ".join(str(other.edition) for other in _others(one)),
        "; ".join(one.warnings),
    )


def gateway_file(gateway: str, found: Sequence[Found], notes: Mapping[Line, str]) -> str | None:
    """A gateway file of the recognised units, the rest as comments; None if there are none."""
    lines = list(dict.fromkeys(one.line for one in found))
    ours = {line: [one for one in found if one.line == line] for line in lines}
    usable = {line: [one for one in ours[line] if _usable(one)] for line in lines}
    # one serial device has one setting: the line that has most of the meters
    chosen = max(lines, key=lambda line: len(usable[line]), default=None)
    if chosen is None or not usable[chosen]:
        return None
    text = [
        "# Proposed by hutong-edge scan: compare each meter with its display before billing on it.",
        f"gateway: {gateway}",
        "poll: {period_s: 60}",
        "buses:",
        *(_comment(f"{line_text(line)}: {note}") for line, note in notes.items()),
        f"  - {_bus_entry(chosen, usable[chosen])}",
        "devices:",
    ]
    for one in ours[chosen]:
        text += _device_lines(one)
    for line in lines:
        if line != chosen and ours[line]:
            text.append(f"  # at {line_text(line)}, which is another setting of the same port:")
            text += [
                f"  # unit {one.unit_id}: {row(one)[2]}; {evidence(one)}" for one in ours[line]
            ]
    return "\n".join(text) + "\n"


def _twins(found: Sequence[Found]) -> dict[tuple[Line, int], int]:
    first: dict[tuple[Line, object], int] = {}
    twins: dict[tuple[Line, int], int] = {}
    for one in found:
        mark = _mark(one)
        if mark is None:
            continue
        unit_id = first.setdefault((one.line, mark), one.unit_id)
        if unit_id != one.unit_id:
            twins[one.line, one.unit_id] = unit_id
    return twins


def _mark(one: Found) -> object | None:
    if not one.here or filling(one.answers) == 0:
        return None
    best = one.best
    if best is not None:
        # voltages move between two reads of one meter; its register hardly does
        meter = best.edition.meter
        billed = [meter.span(name) for name, point in meter.points.items() if point.billing]
        reads = [one.answers.get(Block(s.function, s.address, s.count)) for s in billed]
        shown = tuple(words for words in reads if words is not None and any(words))
        if shown:
            return str(best.edition), shown
    words = tuple(sorted((block, words) for block, words in one.answers.items() if words))
    return words or None


def _warned(one: Found, twins: Mapping[tuple[Line, int], int]) -> Found:
    twin = twins.get((one.line, one.unit_id))
    if twin is None:
        return one
    warning = f"{_COPY}{twin}: a gateway may answer for a meter that is not there"
    return replace(one, warnings=(*one.warnings, warning))


def _others(one: Found) -> list[Candidate]:
    return [candidate for candidate in one.candidates if candidate is not one.best]


def _usable(one: Found) -> bool:
    return one.best is not None and not is_copy(one)


def _bus_entry(line: Line, found: Sequence[Found]) -> str:
    bus = line.bus
    needs = [one.best.edition.meter.timeout_ms or 0 for one in found if one.best is not None]
    timeout_ms = max(LEAST_TIMEOUT_MS, bus.timeout_ms, *needs)
    if isinstance(bus, RtuBus):
        where = f"port: {json.dumps(bus.port)}, baud: {bus.baud}, parity: {bus.parity}"
        where += f", stop_bits: {bus.stop_bits}"
    else:
        where = f"host: {json.dumps(bus.host)}, port: {bus.port}"
        where += ", framing: rtu" if line.rtu_over_tcp else ""
    return f"{{id: {bus.id}, kind: {bus.kind}, {where}, timeout_ms: {timeout_ms}}}"


def _device_lines(one: Found) -> list[str]:
    best = one.best
    lines = [_comment(f"unit {one.unit_id}: {text}") for text in (evidence(one), *one.warnings)]
    others = ", ".join(f"{other.edition} ({other.evidence})" for other in _others(one))
    if others:
        lines.append(_comment(f"unit {one.unit_id}: might also be {others}"))
    if best is None:
        return lines
    variant = f", variant: {best.edition.variant}" if best.edition.variant else ""
    entry = (
        f"- {{id: {best.edition.profile}-{one.unit_id}, bus: {one.line.bus.id},"
        f" unit_id: {one.unit_id}, profile: {best.edition.profile}{variant}}}"
    )
    return [*lines, f"  # {entry}" if is_copy(one) else f"  {entry}"]


def _comment(text: str) -> str:
    return f"  # {' '.join(text.split())}"


_COPY = "shows the same as unit "
_FEW = 3
