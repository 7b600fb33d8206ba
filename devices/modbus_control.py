"""Doing something to a Modbus device: written once, read back, and a difference is a failure."""

import asyncio
from typing import Protocol

from devices.control import Control
from protocols.errors import ProtocolError, WireError


class ControlLink(Protocol):
    """A link that reads and writes."""

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        """Words or bits of one read."""
        ...

    async def write(
        self, unit_id: int, function: int, address: int, values: tuple[int, ...]
    ) -> None:
        """Write once."""
        ...


async def apply(link: ControlLink, unit_id: int, control: Control, *, pulse_ms: int = 0) -> str:
    """Write a control and read it back; return what reads. LinkError, DeviceError or WireError.

    A pulse is held for `pulse_ms`, also where the caller is cancelled meanwhile; with 0 the device
    itself ends it.
    """
    if not control.rest:
        await link.write(unit_id, control.function, control.address, control.values)
        return await _read_back(link, unit_id, control, control.values)
    if not pulse_ms:
        await link.write(unit_id, control.function, control.address, control.values)
        return "the device ends the pulse itself"
    work = asyncio.ensure_future(_pulse(link, unit_id, control, pulse_ms))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # what was opened must be closed again before anybody goes home
        await asyncio.wait({work})
        raise


async def _pulse(link: ControlLink, unit_id: int, control: Control, pulse_ms: int) -> str:
    try:
        await link.write(unit_id, control.function, control.address, control.values)
        await asyncio.sleep(pulse_ms / 1000)
    finally:
        # also where the first write was not answered: it may have happened
        await _write_rest(link, unit_id, control)
    held = await _read_back(link, unit_id, control, control.rest)
    return f"held for {pulse_ms} ms, {held}"


async def _write_rest(link: ControlLink, unit_id: int, control: Control) -> None:
    # to release twice does no harm, and not to release does
    for left in (2, 1, 0):
        try:
            await link.write(unit_id, control.function, control.address, control.rest)
        except ProtocolError:
            if not left:
                raise
        else:
            return


async def _read_back(
    link: ControlLink, unit_id: int, control: Control, wanted: tuple[int, ...]
) -> str:
    found = await link.transact(unit_id, control.reads, control.address, len(wanted))
    shown = " ".join(f"{value:x}" for value in found)
    if found != wanted:
        message = (
            f"unit {unit_id}: {control.address:#06x} reads {shown} after"
            f" {' '.join(f'{value:x}' for value in wanted)} was written"
        )
        raise WireError(message)
    return f"reads {shown}"
