"""The site file, and the meters it describes."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from devices.data_point import DecimalText
from devices.profile import Profile, load_profile
from devices.simulated.faults import Fault
from devices.simulated.load import (
    MICRO,
    ConstantLoad,
    Era,
    JoinedLoad,
    Load,
    fraction,
    shaped_load,
    summed_load,
)
from devices.simulated.meter import SimulatedMeter
from devices.simulated.quantities import Traits, source
from devices.simulated.shapes import LoadShape
from devices.yaml_file import Strict, load_yaml
from protocols.errors import ConfigError

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class SiteTcpBus(Strict):
    """A Modbus TCP gateway with all its meters behind one port; port 0 takes any free one."""

    id: Identifier
    kind: Literal["modbus-tcp"]
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65_535)


class SiteRtuBus(Strict):
    """A serial line: a pty that `path` points to, as slow as its baud rate."""

    id: Identifier
    kind: Literal["modbus-rtu"]
    path: str = Field(min_length=1)
    baud: int = Field(default=9600, ge=300, le=921_600)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


SiteBus = Annotated[SiteTcpBus | SiteRtuBus, Field(discriminator="kind")]


class Leak(Strict):
    """Water that runs day and night, in m3/h, from the start of a local day or always."""

    m3_per_h: DecimalText
    from_on: dt.date | None = None


class MeterEntry(Strict):
    """One meter: what it feeds (`load`), or as a master the sum of all meters `under` it."""

    id: Identifier
    bus: Identifier
    unit_id: int = Field(ge=1, le=247)
    profile: Identifier
    load: LoadShape | Literal["sum"]
    under: Identifier | None = None
    size: DecimalText = Decimal(1)
    ct: int = Field(default=1, ge=1)
    loss: DecimalText | None = None
    leak: Leak | None = None


class SiteFile(Strict):
    """A whole simulated site; its registers start at `epoch_on`, local midnight."""

    site: Identifier
    name: str
    time_zone: str
    epoch_on: dt.date
    seed: int
    buses: tuple[SiteBus, ...] = Field(min_length=1)
    meters: tuple[MeterEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        buses = {bus.id for bus in self.buses}
        masters = {meter.id for meter in self.meters if meter.load == "sum"}
        seen: set[object] = set()
        for meter in self.meters:
            for key in (meter.id, (meter.bus, meter.unit_id)):
                if key in seen:
                    message = f"meters: {meter.id}: {key} is given twice"
                    raise ValueError(message)
                seen.add(key)
            if meter.bus not in buses:
                message = f"meters: {meter.id}: bus: {meter.bus!r}: allowed are {sorted(buses)}"
                raise ValueError(message)
            if meter.under is not None and (meter.under not in masters or meter.id in masters):
                message = (
                    f"meters: {meter.id}: under: {meter.under!r}: allowed are {sorted(masters)}"
                )
                raise ValueError(message)
            if (meter.loss is not None) != (meter.id in masters):
                message = (
                    f"meters: {meter.id}: loss: belongs to a meter with load: sum, and only there"
                )
                raise ValueError(message)
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            message = f"time_zone: {self.time_zone!r}: allowed are IANA names"
            raise ValueError(message) from error
        return self

    @property
    def era(self) -> Era:
        """When the registers start; the zone's offset of that day is kept (no summer time)."""
        midnight = dt.datetime.combine(self.epoch_on, dt.time(), ZoneInfo(self.time_zone))
        offset = midnight.utcoffset() or dt.timedelta()
        return Era(
            start_us=int(midnight.timestamp()) * MICRO, utc_offset_s=int(offset.total_seconds())
        )


@dataclass(frozen=True, slots=True)
class Site:
    """The site's meters, by device and by bus and unit id."""

    file: SiteFile
    meters: Mapping[str, SimulatedMeter]
    loads: Mapping[str, Load]

    def on_bus(self, bus_id: str) -> dict[int, SimulatedMeter]:
        """Meters of one bus by unit id."""
        return {
            meter.unit_id: self.meters[meter.id]
            for meter in self.file.meters
            if meter.bus == bus_id
        }


def load_site(path: Path) -> SiteFile:
    """The site file; ConfigError naming file, key, value and what is allowed."""
    return load_yaml(path, SiteFile)


def build_site(
    file: SiteFile,
    *,
    faults: Sequence[Fault] = (),
    replays: Mapping[str, Load] | None = None,
) -> Site:
    """All meters of a site; a replay takes the place of its device's load. ConfigError."""
    replays = replays or {}
    known = {meter.id for meter in file.meters}
    for option, devices in (("--fault", [f.device for f in faults]), ("--replay", [*replays])):
        for device in devices:
            if device not in known:
                message = f"{option}: {device!r}: allowed are {', '.join(sorted(known))}"
                raise ConfigError(message)
    loads: dict[str, Load] = {}
    for meter in file.meters:
        if meter.load != "sum":
            loads[meter.id] = replays.get(meter.id) or _load(file, meter, meter.load)
    for meter in file.meters:
        if meter.load == "sum":
            subs = [loads[sub.id] for sub in file.meters if sub.under == meter.id]
            if not subs:
                message = f"meters: {meter.id}: load: sum, but no meter is under it"
                raise ConfigError(message)
            loss_ppm = int((meter.loss or Decimal(0)) * MICRO)
            loads[meter.id] = summed_load(subs, file.era, loss_ppm=loss_ppm)
    meters = {
        meter.id: _meter(file, meter, loads[meter.id], [f for f in faults if f.device == meter.id])
        for meter in file.meters
    }
    return Site(file, meters, loads)


def _load(file: SiteFile, meter: MeterEntry, shape: LoadShape) -> Load:
    era = file.era
    load = shaped_load(shape, era, seed=file.seed, device=meter.id, size=float(meter.size))
    if meter.leak is None:
        return load
    days = (meter.leak.from_on - file.epoch_on).days if meter.leak.from_on else 0
    from_us = era.start_us + max(0, days) * 86_400 * MICRO
    leak = ConstantLoad(per_hour=int(meter.leak.m3_per_h * MICRO), from_us=from_us)
    return JoinedLoad([load, leak])


def _meter(
    file: SiteFile, meter: MeterEntry, load: Load, faults: Sequence[Fault]
) -> SimulatedMeter:
    profile = load_profile(meter.profile)
    traits = Traits(
        seed=file.seed,
        device=meter.id,
        opening=_opening(file.seed, meter, profile),
        ct=meter.ct,
        three_phase="voltage_l1" in profile.points,
    )
    sources = {
        point_id: source(point_id, point, load, traits, file.era)
        for point_id, point in profile.points.items()
    }
    return SimulatedMeter(meter.id, profile, sources, faults=faults)


def _opening(seed: int, meter: MeterEntry, profile: Profile) -> int:
    """Micro-units on the register at the epoch, whole hundredths."""
    most = 9_000 if profile.medium == "electric" else 400
    return int(fraction(seed, meter.id, "opening") * most * 100) * (MICRO // 100)
