"""What real devices do wrong, on purpose: one fault of one device for a time."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal, cast, get_args

from protocols.errors import ConfigError

FaultKind = Literal["offline", "silent", "stuck", "zero-once"]
FOREVER_US = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A device misbehaves in [from_us, until_us) of site time.

    offline: the gateway answers for it with exception 11, a serial line hears nothing. silent:
    nothing at all. stuck: its registers stay as they were at from_us. zero-once: for exactly one
    poll every register is 0.
    """

    device: str
    kind: FaultKind
    from_us: int
    until_us: int = FOREVER_US

    def at(self, at_us: int) -> bool:
        """Whether it is in force."""
        return self.from_us <= at_us < self.until_us


def parse_fault(text: str, *, launch_us: int) -> Fault:
    """A fault from `device=kind[@start[,duration]]`; ConfigError saying what is allowed.

    `start` is seconds of site time after the launch, or an instant with its zone
    (2026-07-01T00:00:00+08:00); `duration` is seconds of site time.
    """
    device, _, rest = text.partition("=")
    kind, _, times = rest.partition("@")
    if not device or kind not in get_args(FaultKind):
        kinds = ", ".join(get_args(FaultKind))
        message = f"--fault: {text!r}: allowed is device=KIND[@start[,duration]], KIND of {kinds}"
        raise ConfigError(message)
    start, _, duration = times.partition(",")
    try:
        from_us = _start_us(start, launch_us) if start else launch_us
        until_us = from_us + int(float(duration) * 1e6) if duration else FOREVER_US
    except (ValueError, OverflowError) as error:
        message = f"--fault: {text!r}: {error}: allowed are seconds, or an instant like {_SAMPLE}"
        raise ConfigError(message) from error
    return Fault(device=device, kind=cast("FaultKind", kind), from_us=from_us, until_us=until_us)


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
