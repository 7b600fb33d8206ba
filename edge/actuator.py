"""What a gateway does when it is told to: the port, and its real ones on buses and on itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from devices import modbus_control
from devices.driver import Clock
from edge.config import GatewayConfig, load
from edge.poller import BusPoller
from protocols.commands import Action, Command
from protocols.errors import ConfigError, HutongError
from protocols.failpoint import reach
from protocols.io.pacing import PacedLink

log = structlog.get_logger("actuator")


class ActError(HutongError):
    """It was not done; the message says why."""


@dataclass(frozen=True)
class Order:
    """A command that is on disk; nothing may begin after the monotonic instant `before_us`."""

    command: Command
    before_us: int


class Actuator(Protocol):
    """Whatever carries commands out."""

    async def act(self, order: Order) -> str:
        """Do it and return what came of it; whatever is raised says that it failed."""
        ...


class LiveConfig:
    """The gateway file as it is in force; another one is taken only if it is right."""

    def __init__(self, config: GatewayConfig, file: Path | None) -> None:
        self.config = config
        self._file = file

    def reload(self) -> str:
        """Read the file again; ActError with its faults, and the old one stays."""
        if self._file is None:
            message = "this gateway was started without a file"
            raise ActError(message)
        try:
            fresh = load(self._file)
        except ConfigError as error:
            raise ActError(str(error)) from error
        if fresh.gateway != self.config.gateway:
            message = f"{self._file}: gateway: {fresh.gateway!r}: allowed is {self.config.gateway}"
            raise ActError(message)
        restart = _what_differs(self.config, fresh)
        log.info("config_reloaded", file=str(self._file), at_next_start=", ".join(restart))
        # what is wired and polled is set up once: of it the old stays in force
        allowed = {device.id: device.allow for device in fresh.devices}
        devices = tuple(
            device.model_copy(update={"allow": allowed.get(device.id, ())})
            if _is_same(device.id, self.config, fresh)
            else device.model_copy(update={"allow": ()})
            for device in self.config.devices
        )
        changed = {"command_key": fresh.command_key, "devices": devices}
        self.config = self.config.model_copy(update=changed)
        later = f"; at the next start: {', '.join(restart)}" if restart else ""
        return f"allow and command_key are in force{later}"


class GatewayActuator:
    """Acts on the gateway's buses, each by its owner, and on the gateway itself."""

    def __init__(self, owners: Mapping[str, BusPoller], live: LiveConfig, clock: Clock) -> None:
        """`owners` by bus."""
        self._owners = owners
        self._live = live
        self._clock = clock

    async def act(self, order: Order) -> str:
        """Do what an order says; ActError, ProtocolError."""
        command = order.command
        if command.action is Action.RELOAD_CONFIG:
            self._check_in_time(order)
            return self._live.reload()
        entry = next(each for each in self._live.config.devices if each.id == command.target)
        owner = self._owners[entry.bus]
        if command.action is Action.READ_NOW:
            return await owner.first(self._read(owner, order))
        control = entry.known_profile().controls[command.action]

        async def write(link: PacedLink) -> str:
            self._check_in_time(order)
            reach("command.writing")
            pulse_ms = command.pulse_ms if command.action is Action.PULSE else 0
            return await modbus_control.apply(link, entry.unit_id, control, pulse_ms=pulse_ms)

        return await owner.first(write)

    def _read(self, owner: BusPoller, order: Order) -> Callable[[PacedLink], Awaitable[str]]:
        async def read(_link: PacedLink) -> str:
            self._check_in_time(order)
            told = await owner.poll(order.command.target)
            if told is None:
                message = f"{order.command.target} did not answer"
                raise ActError(message)
            return f"{told} readings"

        return read

    def _check_in_time(self, order: Order) -> None:
        if self._clock.monotonic_us() > order.before_us:
            message = "it expired while it waited for its bus"
            raise ActError(message)


def _is_same(device: str, before: GatewayConfig, after: GatewayConfig) -> bool:
    # what is allowed of a device holds only for the one that is wired as the old file says
    held, found = (
        [each.model_copy(update={"allow": ()}) for each in part.devices if each.id == device]
        for part in (before, after)
    )
    return held == found and [b for b in before.buses if b.id == held[0].bus] == [
        b for b in after.buses if b.id == held[0].bus
    ]


def _what_differs(before: GatewayConfig, after: GatewayConfig) -> list[str]:
    differing = [
        key for key in ("poll", "journal", "buses") if getattr(before, key) != getattr(after, key)
    ]
    names = {each.id for part in (before, after) for each in part.devices}
    changed = sorted(name for name in names if not _is_same(name, before, after))
    return differing + [f"device {name}" for name in changed]
