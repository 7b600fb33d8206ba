"""What real devices do wrong, on purpose: one fault of one device or bus for a time."""

import datetime as dt
import re
from dataclasses import dataclass

from devices.simulated.fault_kinds import KINDS, FaultKind
from protocols.errors import ConfigError

FOREVER_US = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A device or bus misbehaves in [from_us, until_us) of site time, as its kind says.

    `number` is the amount where the kind counts something, `name` where it names something.
    """

    target: str
    kind: str
    number: int = 0
    name: str = ""
    from_us: int
    until_us: int = FOREVER_US

    def at(self, at_us: int) -> bool:
        """Whether it is in force."""
        return self.from_us <= at_us < self.until_us


def parse_fault(text: str, *, launch_us: int) -> Fault:
    """A fault from `target=kind[:amount][@start[,duration]]`; ConfigError saying what is allowed.

    `start` is seconds of site time after the launch, or an instant with its zone
    (2026-07-01T00:00:00+08:00); `duration` is seconds of site time.
    """
    target, _, rest = text.partition("=")
    told, at, times = rest.partition("@")
    name, colon, amount = told.partition(":")
    kind = KINDS.get(name)
    if not target or kind is None:
        message = (
            f"--fault: {text!r}: allowed is TARGET=KIND[:AMOUNT][@start[,duration]],"
            f" KIND of {', '.join(KINDS)}"
        )
        raise ConfigError(message)
    if at and kind.lasting:
        message = f"--fault: {text!r}: {name} holds from the start to the end: allowed is no @"
        raise ConfigError(message)
    number, word = _amount(text, kind, amount if colon else None)
    start, _, duration = times.partition(",")
    try:
        from_us = _start_us(start, launch_us) if start else launch_us
        until_us = from_us + int(float(duration) * 1e6) if duration else FOREVER_US
    except (ValueError, OverflowError) as error:
        message = f"--fault: {text!r}: {error}: allowed are seconds, or an instant like {_SAMPLE}"
        raise ConfigError(message) from error
    return Fault(
        target=target, kind=name, number=number, name=word, from_us=from_us, until_us=until_us
    )


def _amount(text: str, kind: FaultKind, given: str | None) -> tuple[int, str]:
    amount = kind.amount
    if amount is None:
        if given is None:
            return 0, ""
        message = f"--fault: {text!r}: {kind.name} takes no amount: allowed is {kind.name} alone"
        raise ConfigError(message)
    if given is None and amount.default is not None:
        return amount.default, ""
    try:
        if amount.pattern:
            if given and re.fullmatch(amount.pattern, given):
                return 0, given
        elif given is not None and amount.least <= (number := int(given, 0)) <= amount.most:
            return number, ""
    except ValueError:
        pass
    message = f"--fault: {text!r}: allowed is {kind.name}:{amount.label}, {amount.allowed}"
    raise ConfigError(message)


def _start_us(text: str, launch_us: int) -> int:
    try:
        return launch_us + int(float(text) * 1e6)
    except ValueError:
        at = dt.datetime.fromisoformat(text)
    if at.tzinfo is None:
        message = "an instant needs its zone"
        raise ValueError(message)
    return int(at.timestamp() * 1e6)


_SAMPLE = "2026-07-01T00:00:00+08:00"
