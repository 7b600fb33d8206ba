"""Events of a meter point, and the stretches of one counting register that they leave."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from cloud.metering.installs import Install


class EventError(ValueError):
    """An event that does not fit what is on record; the message names key, value and what would."""


class EventKind(StrEnum):
    """What may happen at a meter point."""

    INSTALL = "install"
    REMOVE = "remove"
    REPLACE = "replace"
    RESET = "reset"
    ROLLOVER = "rollover"
    MULTIPLIER = "multiplier"
    TEST = "test"
    VOID = "void"


class RunRule(StrEnum):
    """Who bears what a test run consumed: nobody, or the customer as usual."""

    FREE = "free"
    BILLED = "billed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterParts:
    """What an install or a replacement hangs up: the meter, its scale, and how it is read.

    device_id and point are None for a meter that people read.
    """

    meter_id: str
    exponent: int
    multiplier: Decimal = Decimal(1)
    capacity: int | None = None
    max_per_hour: int | None = None
    device_id: str | None = None
    point: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterEvent:
    """Something that happened at a meter point, with the register before and after it.

    until_us ends a test; multiplier is the one in force from at_us on; supersedes names the
    event that this one corrects. id is 0 until it is on record.
    """

    id: int = 0
    kind: EventKind
    at_us: int
    before_count: int | None = None
    after_count: int | None = None
    parts: MeterParts | None = None
    multiplier: Decimal | None = None
    until_us: int | None = None
    rule: RunRule | None = None
    by: str
    why: str
    supersedes: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch in which one register counts on: between two of a meter point's events."""

    install: Install
    device_id: str | None
    point: str | None


# which fields each kind needs
_NEEDS = {
    EventKind.INSTALL: ("parts", "after_count"),
    EventKind.REMOVE: ("before_count",),
    EventKind.REPLACE: ("before_count", "parts", "after_count"),
    EventKind.RESET: ("before_count", "after_count"),
    EventKind.ROLLOVER: ("before_count", "after_count"),
    EventKind.MULTIPLIER: ("before_count", "multiplier"),
    EventKind.TEST: ("before_count", "after_count", "until_us", "rule"),
    EventKind.VOID: ("supersedes",),
}


def in_force(events: Iterable[MeterEvent]) -> list[MeterEvent]:
    """Return the events that no later one supersedes, in order of time; EventError."""
    held = {event.id: event for event in events}
    for event in held.values():
        if event.supersedes is not None and event.supersedes not in held:
            _refuse(event, "supersedes", event.supersedes, "an event of this meter point")
    gone = [event.supersedes for event in held.values() if event.supersedes is not None]
    for event in held.values():
        if gone.count(event.id) > 1:
            _refuse(event, "supersedes", event.id, "an event that is not superseded yet")
    return sorted(
        (e for e in held.values() if e.id not in gone and e.kind is not EventKind.VOID),
        # a meter is taken down before another one hangs at the same instant
        key=lambda event: (event.at_us, event.kind is not EventKind.REMOVE, event.id),
    )


def timeline(events: Iterable[MeterEvent]) -> list[Segment]:
    """Return a meter point's segments, oldest first; EventError where events contradict."""
    done: list[Segment] = []
    standing: Segment | None = None
    free_us = 0
    for event in in_force(events):
        _check_fields(event)
        if event.kind is EventKind.INSTALL:
            if standing is not None:
                _refuse(event, "kind", event.kind, f"{standing.install.meter_id} stands: replace")
            if event.at_us < free_us:
                _refuse(event, "at_us", event.at_us, f"at or after {free_us}")
            standing = _hung(event)
            continue
        if standing is None:
            _refuse(event, "kind", event.kind, "no meter stands: install")
            return done
        if event.at_us < standing.install.installed_at_us:
            allowed = f"at or after {standing.install.installed_at_us}"
            _refuse(event, "at_us", event.at_us, allowed)
        if event.kind is EventKind.TEST and event.rule is RunRule.BILLED:
            continue
        done.append(_closed(standing, event))
        free_us = event.at_us
        standing = None if event.kind is EventKind.REMOVE else _next(standing, event)
    return done if standing is None else [*done, standing]


def check_new(events: Sequence[MeterEvent], event: MeterEvent) -> list[Segment]:
    """Return the timeline with one more event on record; EventError where it does not fit."""
    for name in ("by", "why"):
        if not getattr(event, name).strip():
            _refuse(event, name, "", "a text that says it")
    highest = max((held.id for held in events), default=0)
    _check_fields(event)
    return timeline([*events, replace(event, id=highest + 1)])


def _check_fields(event: MeterEvent) -> None:
    for name in _NEEDS[event.kind]:
        if getattr(event, name) is None:
            _refuse(event, name, None, f"a value: {event.kind} needs {_names(event)}")
    if event.until_us is not None and event.until_us < event.at_us:
        _refuse(event, "until_us", event.until_us, f"at or after {event.at_us}")


def _hung(event: MeterEvent) -> Segment:
    parts, start = event.parts, event.after_count
    if parts is None or start is None:
        raise EventError(_names(event))
    install = _install(
        event,
        Install(
            meter_id=parts.meter_id,
            exponent=parts.exponent,
            multiplier=parts.multiplier,
            capacity=parts.capacity,
            max_per_hour=parts.max_per_hour,
            installed_at_us=event.at_us,
            start_count=0,
        ),
        start_count=start,
    )
    return Segment(install, parts.device_id, parts.point)


def _closed(standing: Segment, event: MeterEvent) -> Segment:
    install = standing.install
    if event.kind is EventKind.ROLLOVER:
        if install.capacity is None:
            _refuse(event, "kind", event.kind, f"a capacity: {install.meter_id} declares none")
        # the register at the event is the one after it; the turn lies in this segment
        changed = {"end_count": event.after_count, "end_rolls_over": True}
        _install(event, install, end_count=event.before_count, removed_at_us=event.at_us)
    else:
        changed = {"end_count": event.before_count, "end_rolls_over": False}
    made = _install(event, install, removed_at_us=event.at_us, **changed)
    return replace(standing, install=made)


def _next(standing: Segment, event: MeterEvent) -> Segment:
    if event.kind is EventKind.REPLACE:
        return _hung(event)
    install = standing.install
    if event.kind is EventKind.MULTIPLIER:
        changes = {"start_count": event.before_count, "multiplier": event.multiplier}
    else:
        changes = {"start_count": event.after_count}
    if event.kind is EventKind.TEST:
        changes |= {"installed_at_us": event.until_us, "idle_from_us": event.at_us}
    else:
        changes |= {"installed_at_us": event.at_us, "idle_from_us": None}
    return replace(standing, install=_install(event, install, **changes))


def _install(event: MeterEvent, install: Install, **changes: object) -> Install:
    try:
        return replace(install, **changes)  # type: ignore[arg-type]  # checked by Install itself
    except ValueError as error:
        message = f"event {event.kind} at {event.at_us} us: {error}"
        raise EventError(message) from None


def _names(event: MeterEvent) -> str:
    return ", ".join(_NEEDS[event.kind])


def _refuse(event: MeterEvent, key: str, value: object, allowed: str) -> None:
    message = f"event {event.kind} at {event.at_us} us: {key}: {value}: allowed is {allowed}"
    raise EventError(message)
