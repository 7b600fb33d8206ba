"""The gateway file: what is wired to which bus, checked before anything starts."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from devices.modbus_meter import ModbusMeter
from devices.profile import Profile, load_profile
from devices.yaml_file import Strict, load_yaml
from edge.plausibility import Plausibility
from edge.report import Reporter, ReportRule
from edge.schedule import BILLING_S
from protocols.commands import Action
from protocols.delivery.signature import key_bytes
from protocols.errors import ConfigError, WireError
from protocols.io import backends
from protocols.io.mqtt import Broker
from protocols.modbus.wire import Wire

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Ratio = Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,6})?$")]


class Poll(Strict):
    """How often devices are read, and how often what was read is committed."""

    period_s: int = Field(default=60, ge=1, le=86_400)
    commit_s: float = Field(default=1.0, gt=0, le=60)
    billing_s: int = Field(
        default=BILLING_S,
        ge=60,
        le=86_400,
        description="Registers that bill are also read at every multiple of this.",
    )


class JournalLimits(Strict):
    """How much disk the journal may take, and how long it keeps what was acknowledged."""

    max_mib: int = Field(default=256, ge=4, le=65_536)
    grace_days: int = Field(default=7, ge=0, le=366)


class TcpBus(Strict):
    """A Modbus TCP endpoint, with any number of unit ids behind it.

    `framing: rtu` is for transparent serial servers; `any_transaction` for gateways that do not
    echo the transaction id.
    """

    id: Identifier
    kind: Literal["modbus-tcp"]
    host: str = Field(min_length=1)
    port: int = Field(default=502, ge=1, le=65_535)
    framing: Literal["mbap", "rtu"] = "mbap"
    any_transaction: bool = False
    backend: str = backends.NATIVE
    timeout_ms: int = Field(default=1000, ge=10, le=60_000)

    @property
    def wire(self) -> None:
        """A network has no wire whose time would have to be planned."""
        return


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
    """A device on a bus; no `points` means every point of its profile or of its variant.

    `periods` are seconds of points that are read at their own pace, `double_read` reads what bills
    until two reads agree, `most_per_hour` is how fast its billed registers can rise (their uom).
    `allow` names the actions of its profile's `controls` that commands may ask for.
    """

    id: Identifier
    bus: Identifier
    unit_id: int = Field(ge=0, le=255)
    profile: Identifier
    variant: Identifier | None = None
    name: str = ""
    points: tuple[str, ...] = ()
    multipliers: dict[str, Ratio] = {}
    period_s: int | None = Field(default=None, ge=1, le=86_400)
    periods: dict[str, Annotated[int, Field(ge=1, le=86_400)]] = {}
    double_read: bool = False
    most_per_hour: Ratio | None = None
    report: dict[str, ReportEntry] = {}
    allow: tuple[Action, ...] = ()

    def reporter(self) -> Reporter | None:
        """Return what decides which of this device's samples travel, None if all do."""
        rules = {
            point: ReportRule(Decimal(entry.deadband), entry.heartbeat_s)
            for point, entry in self.report.items()
        }
        return Reporter(rules) if rules else None

    def plausibility(self) -> Plausibility:
        """Return what judges this device's samples."""
        most = None if self.most_per_hour is None else Decimal(self.most_per_hour)
        return Plausibility(most)

    def known_profile(self) -> Profile:
        """Return this device's profile or its variant; ConfigError if there is none."""
        profile = load_profile(self.profile)
        return profile if self.variant is None else profile.variant(self.variant)

    def meter(self, wire: Wire | None, poll: Poll | None = None) -> ModbusMeter:
        """Return the driver of this device, its blocks planned for the wire."""
        profile = self.known_profile()
        poll = poll or Poll()
        points = self.points or tuple(profile.points)
        ratios = {name: Decimal(ratio) for name, ratio in self.multipliers.items()}
        return ModbusMeter(
            profile,
            self.unit_id,
            points,
            ratios,
            wire=wire,
            periods={point: self._periods_of(point, poll, profile) for point in points},
            double_read=self.double_read,
        )

    def _periods_of(self, point: str, poll: Poll, profile: Profile) -> set[int]:
        period_s = self.periods.get(point) or self.period_s or poll.period_s
        known = profile.points.get(point)
        if known is not None and known.billing and poll.billing_s % period_s:
            # at its own pace it would not be read where bills are cut
            return {period_s, poll.billing_s}
        return {period_s}


class GatewayConfig(Strict):
    """A whole gateway file."""

    gateway: Identifier
    command_key: str = Field(
        default="", description="The cloud's public key, 44 characters: whose commands are taken."
    )
    poll: Poll = Poll()
    journal: JournalLimits = JournalLimits()
    buses: tuple[Bus, ...] = Field(min_length=1)
    devices: tuple[DeviceEntry, ...] = Field(min_length=1)

    def on_bus(self, bus: str) -> list[DeviceEntry]:
        """Return the devices of one bus."""
        return [device for device in self.devices if device.bus == bus]

    def trusted_key(self) -> bytes | None:
        """Return the raw public key whose commands are taken; None: nobody's."""
        return key_bytes(self.command_key) if self.command_key else None

    def targets(self) -> dict[str, frozenset[Action]]:
        """Return what may be asked of each device, and of the gateway itself under ""."""
        may = {device.id: frozenset({Action.READ_NOW, *device.allow}) for device in self.devices}
        return may | {"": frozenset({Action.RELOAD_CONFIG})}


class Settings(BaseSettings):
    """Settings of a gateway's machine, from HUTONG_* variables."""

    model_config = SettingsConfigDict(env_prefix="HUTONG_")

    data_dir: Path = Path("/var/lib/hutong")
    trust_clock: bool = False
    mqtt_url: str = "mqtt://127.0.0.1:1883"
    mqtt_ca_file: Path | None = None
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
    faults = _key_faults(config) + [
        f"buses.{index}.id: {bus!r}: stands twice, bus ids are unique"
        for index, bus in enumerate(buses)
        if bus in buses[:index]
    ]
    for index, bus in enumerate(config.buses):
        reason = backends.fault(bus.backend, bus.kind)
        if reason is not None:
            faults.append(f"buses.{index}.backend: {reason}")
        if isinstance(bus, TcpBus) and bus.backend != backends.NATIVE:
            own = {"framing": bus.framing != "mbap", "any_transaction": bus.any_transaction}
            faults += [
                f"buses.{index}.{key}: only the backend {backends.NATIVE} can do that"
                for key, wanted in own.items()
                if wanted
            ]
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
        faults += [f"{key}.{fault}" for fault in _uncontrolled(config, device, meter.profile)]
        faults += [f"{key}.{fault}" for fault in _unread(device, meter)]
        faults += [f"{key}.report.{fault}" for fault in _unheard(config, device, meter)]
    return faults


def _key_faults(config: GatewayConfig) -> list[str]:
    try:
        config.trusted_key()
    except WireError as error:
        return [f"command_key: {error}"]
    return []


def _uncontrolled(config: GatewayConfig, device: DeviceEntry, profile: Profile) -> list[str]:
    known = ", ".join(profile.controls) or f"none: {profile.id} names no controls"
    faults = [
        f"allow: {action!s}: allowed are {known}"
        for action in device.allow
        if action not in profile.controls
    ]
    if device.allow and device.unit_id == 0:
        faults.append("allow: unit 0 is everybody: allowed are devices with a unit id of their own")
    backend = next((bus.backend for bus in config.buses if bus.id == device.bus), backends.NATIVE)
    if device.allow and backend != backends.NATIVE:
        faults.append(f"allow: only the backend {backends.NATIVE} can write, the bus has {backend}")
    return faults


def _unread(device: DeviceEntry, meter: ModbusMeter) -> list[str]:
    return [
        f"periods.{point}: is not read, allowed are {', '.join(meter.points)}"
        for point in device.periods
        if point not in meter.points
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
