"""The gateway file: what is wired to which bus, checked before anything starts."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from devices.modbus_meter import ModbusMeter
from devices.profile import load_profile
from devices.yaml_file import Strict, load_yaml
from edge.report import Reporter, ReportRule
from protocols.errors import ConfigError
from protocols.io import backends
from protocols.io.mqtt import Broker
from protocols.modbus.wire import Wire

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Ratio = Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,6})?$")]


class Poll(Strict):
    """How often devices are read, and how often what was read is committed."""

    period_s: int = Field(default=60, ge=1, le=86_400)
    commit_s: float = Field(default=1.0, gt=0, le=60)


class TcpBus(Strict):
    """A Modbus TCP endpoint, with any number of unit ids behind it."""

    id: Identifier
    kind: Literal["modbus-tcp"]
    host: str = Field(min_length=1)
    port: int = Field(default=502, ge=1, le=65_535)
    backend: str = backends.NATIVE
    timeout_ms: int = Field(default=1000, ge=10, le=60_000)


class RtuBus(Strict):
    """A serial Modbus line."""

    id: Identifier
    kind: Literal["modbus-rtu"]
    port: str = Field(min_length=1)
    baud: int = Field(default=9600, ge=300, le=921_600)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    backend: str = backends.NATIVE
    timeout_ms: int = Field(default=1000, ge=10, le=60_000)

    @property
    def wire(self) -> Wire:
        """Return how long frames take on this line."""
        return Wire(baud=self.baud, parity=self.parity, stop_bits=self.stop_bits)


Bus = Annotated[TcpBus | RtuBus, Field(discriminator="kind")]


class ReportEntry(Strict):
    """When a point is worth telling: moved beyond `deadband` (its uom), or a heartbeat passed."""

    deadband: Ratio
    heartbeat_s: int = Field(default=900, ge=1, le=86_400)


class DeviceEntry(Strict):
    """A device on a bus; no `points` means every point of its profile or of its variant."""

    id: Identifier
    bus: Identifier
    unit_id: int = Field(ge=0, le=255)
    profile: Identifier
    variant: Identifier | None = None
    name: str = ""
    points: tuple[str, ...] = ()
    multipliers: dict[str, Ratio] = {}
    period_s: int | None = Field(default=None, ge=1, le=86_400)
    report: dict[str, ReportEntry] = {}

    def reporter(self) -> Reporter:
        """Return what decides which of this device's samples travel."""
        rules = {
            point: ReportRule(Decimal(entry.deadband), entry.heartbeat_s)
            for point, entry in self.report.items()
        }
        return Reporter(rules)

    def meter(self, wire: Wire | None) -> ModbusMeter:
        """Return the driver of this device, its blocks planned for the wire."""
        profile = load_profile(self.profile)
        if self.variant is not None:
            profile = profile.variant(self.variant)
        ratios = {name: Decimal(ratio) for name, ratio in self.multipliers.items()}
        points = self.points or tuple(profile.points)
        return ModbusMeter(profile, self.unit_id, points, ratios, wire=wire)


class GatewayConfig(Strict):
    """A whole gateway file."""

    gateway: Identifier
    poll: Poll = Poll()
    buses: tuple[Bus, ...] = Field(min_length=1)
    devices: tuple[DeviceEntry, ...] = Field(min_length=1)

    def on_bus(self, bus: str) -> list[DeviceEntry]:
        """Return the devices of one bus."""
        return [device for device in self.devices if device.bus == bus]

    def periods(self, bus: str) -> dict[str, int]:
        """Return the polling period in seconds of each device of one bus."""
        return {device.id: device.period_s or self.poll.period_s for device in self.on_bus(bus)}


class Settings(BaseSettings):
    """Settings of a gateway's machine, from HUTONG_* variables."""

    model_config = SettingsConfigDict(env_prefix="HUTONG_")

    data_dir: Path = Path("/var/lib/hutong")
    mqtt_url: str = "mqtt://127.0.0.1:1883"
    log_format: Literal["text", "json"] = "text"

    @field_validator("mqtt_url")
    @classmethod
    def _is_broker(cls, url: str) -> str:
        Broker.parse(url)
        return url


def load(path: Path) -> GatewayConfig:
    """Return a checked gateway file; ConfigError has one line `file: key: ...` per fault."""
    config = load_yaml(path, GatewayConfig)
    faults = [f"{path}: {fault}" for fault in _faults(config)]
    if faults:
        raise ConfigError(*faults)
    return config


def _faults(config: GatewayConfig) -> list[str]:
    buses = [bus.id for bus in config.buses]
    faults = [
        f"buses.{index}.id: {bus!r}: stands twice, bus ids are unique"
        for index, bus in enumerate(buses)
        if bus in buses[:index]
    ]
    for index, bus in enumerate(config.buses):
        reason = backends.fault(bus.backend, bus.kind)
        if reason is not None:
            faults.append(f"buses.{index}.backend: {reason}")
    ids: set[str] = set()
    places: dict[tuple[str, int], str] = {}
    for index, device in enumerate(config.devices):
        key = f"devices.{index}"
        if device.id in ids:
            faults.append(f"{key}.id: {device.id!r}: stands twice, device ids are unique")
        ids.add(device.id)
        if device.bus not in buses:
            faults.append(f"{key}.bus: {device.bus!r}: allowed are {', '.join(buses)}")
        other = places.setdefault((device.bus, device.unit_id), device.id)
        if other != device.id:
            faults.append(f"{key}.unit_id: {device.unit_id}: is {other!r} on bus {device.bus}")
        try:
            meter = device.meter(None)
        except ConfigError as error:
            faults += [f"{key}: {fault}" for fault in error.faults]
            continue
        faults += _impatient(config, device, meter.timeout_s)
        faults += [f"{key}.report.{fault}" for fault in _unheard(config, device, meter)]
    return faults


def _impatient(config: GatewayConfig, device: DeviceEntry, timeout_s: float | None) -> list[str]:
    least_ms = round(1000 * (timeout_s or 0))
    return [
        f"buses.{index}.timeout_ms: {bus.timeout_ms}: {device.id!r} may take {least_ms} to answer,"
        f" allowed is {least_ms} or more"
        for index, bus in enumerate(config.buses)
        if bus.id == device.bus and bus.timeout_ms < least_ms
    ]


def _unheard(config: GatewayConfig, device: DeviceEntry, meter: ModbusMeter) -> list[str]:
    faults = [
        f"{point}: is not read, allowed are {', '.join(meter.points)}"
        for point in device.report
        if point not in meter.points
    ]
    # a device that tells nothing for three periods counts as offline
    longest_s = 2 * (device.period_s or config.poll.period_s)
    told = [
        point
        for point in meter.points
        if point not in device.report or meter.profile.points[point].billing
    ]
    if not told:
        faults += [
            f"{point}.heartbeat_s: {entry.heartbeat_s}: nothing else of {device.id!r} is told more"
            f" often, allowed is up to {longest_s}"
            for point, entry in device.report.items()
            if entry.heartbeat_s > longest_s
        ]
    return faults
