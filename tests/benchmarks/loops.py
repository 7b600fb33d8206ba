"""The event loops that figures are taken on."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def loops() -> dict[str, LoopFactory | None]:
    """The standard library's loop and uvloop, None where that is not installed."""
    return {"stdlib": asyncio.new_event_loop, "uvloop": _uvloop()}


def fastest_loop() -> LoopFactory:
    """uvloop if it is installed, for what must not be the bottleneck."""
    return _uvloop() or asyncio.new_event_loop


def _uvloop() -> LoopFactory | None:
    if find_spec("uvloop") is None:
        return None
    # an extra that the gateway runs without
    factory: LoopFactory = import_module("uvloop").new_event_loop
    return factory
