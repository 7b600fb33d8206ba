"""The meters that a site file describes, with the faults that are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from devices.profile import Profile, ProfileError, load_profile
from devices.simulated.fault_kinds import KINDS, Place
from devices.simulated.faults import FOREVER_US, Fault
from devices.simulated.load import (
    MICRO,
    ConstantLoad,
    JoinedLoad,
    Load,
    fraction,
    shaped_load,
    summed_load,
)
from devices.simulated.meter import SimulatedMeter
from devices.simulated.pty_line import told_apart, wire_of_fault
from devices.simulated.quantities import Traits, source
from devices.simulated.shapes import LoadShape
from devices.simulated.site_file import MeterEntry, SiteBus, SiteFile, SiteRtuBus
from devices.yaml_file import load_yaml
from protocols.errors import ConfigError

# A gateway may ask any unit id; on a serial line 0 is a broadcast and 248 up are reserved.
_TCP_UNITS, _SERIAL_UNITS = range(256), range(1, 248)


@dataclass(frozen=True, slots=True)
class Site:
    """The site's meters, by device and by bus and unit id, and the faults of its buses."""

    file: SiteFile
    meters: Mapping[str, SimulatedMeter]
    loads: Mapping[str, Load]
    faults: tuple[Fault, ...] = ()

    def on_bus(self, bus_id: str) -> dict[int, SimulatedMeter]:
        """Meters of one bus by unit id, and where it answers zeros for absent ones, those."""
        zeros = [fault for fault in self.bus_faults(bus_id) if fault.kind == "zeros"]
        present = {
            meter.unit_id: self.meters[meter.id]
            for meter in self.file.meters
            if meter.bus == bus_id
        }
        if not zeros:
            return present
        (bus,) = [bus for bus in self.file.buses if bus.id == bus_id]
        units = _SERIAL_UNITS if isinstance(bus, SiteRtuBus) else _TCP_UNITS
        return {unit_id: _phantom(bus_id, unit_id, zeros[-1]) for unit_id in units} | present

    def bus_faults(self, bus_id: str) -> list[Fault]:
        """Faults of the bus itself."""
        return [fault for fault in self.faults if fault.target == bus_id]


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
    for device in replays:
        if device not in known:
            message = f"--replay: {device!r}: allowed are {', '.join(sorted(known))}"
            raise ConfigError(message)
    of_device: dict[str, list[Fault]] = {meter.id: [] for meter in file.meters}
    of_bus: list[Fault] = []
    for fault in faults:
        (of_bus if _is_of_bus(file, fault) else of_device[fault.target]).append(fault)
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
        meter.id: _meter(file, meter, loads[meter.id], of_device[meter.id]) for meter in file.meters
    }
    return Site(file, meters, loads, tuple(of_bus))


def _is_of_bus(file: SiteFile, fault: Fault) -> bool:
    """Whether a fault's target is a bus and no device; ConfigError if it cannot happen there."""
    buses = {bus.id: bus for bus in file.buses}
    devices = {meter.id: buses[meter.bus] for meter in file.meters}
    if fault.target not in devices and fault.target not in buses:
        allowed = f"{', '.join(sorted(devices))}, or for a bus {', '.join(buses)}"
        message = f"--fault: {fault.target!r}: allowed are {allowed}"
        raise ConfigError(message)
    places = KINDS[fault.kind].places
    if fault.target in devices and _device_place(devices[fault.target]) in places:
        return False
    if fault.target in buses and _bus_place(buses[fault.target]) in places:
        _check_line(buses[fault.target], fault)
        return True
    allowed = ", ".join(sorted(places))
    message = f"--fault: {fault.target}={fault.kind}: allowed is a target that is a {allowed}"
    raise ConfigError(message)


def _device_place(bus: SiteBus) -> Place:
    return "device on a serial line" if isinstance(bus, SiteRtuBus) else "device on TCP"


def _bus_place(bus: SiteBus) -> Place:
    return "serial bus" if isinstance(bus, SiteRtuBus) else "TCP bus"


def _check_line(bus: SiteBus, fault: Fault) -> None:
    if fault.kind != "line" or not isinstance(bus, SiteRtuBus):
        return
    if not told_apart(bus.wire, wire_of_fault(fault, bus.wire)):
        # nobody would ever see such a fault
        message = (
            f"--fault: {bus.id}=line:{fault.name}: a pty shows the same for its own line"
            f" {bus.baud}{bus.parity}{bus.stop_bits} (it cannot tell N from E): allowed are another"
            " baud, other stop bits, or odd parity on one side"
        )
        raise ConfigError(message)


def _phantom(bus_id: str, unit_id: int, zeros: Fault) -> SimulatedMeter:
    """Nobody, whom a gateway lets answer zeros while the fault is in force."""
    device = f"{bus_id} unit {unit_id}"
    absent = [
        Fault(target=device, kind="offline", from_us=from_us, until_us=until_us)
        for from_us, until_us in ((-FOREVER_US, zeros.from_us), (zeros.until_us, FOREVER_US))
    ]
    # any profile will do: no register of it is ever read
    return SimulatedMeter(device, load_profile(_PHANTOM), {}, faults=[zeros, *absent])


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
    for fault in faults:
        if fault.kind == "variant":
            try:
                profile = profile.variant(fault.name)
            except ProfileError as error:
                message = f"--fault: {meter.id}={fault.kind}:{fault.name}: {error}"
                raise ConfigError(message) from error
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
    return SimulatedMeter(meter.id, profile, sources, faults=faults, seed=file.seed)


def _opening(seed: int, meter: MeterEntry, profile: Profile) -> int:
    """Micro-units on the register at the epoch, whole hundredths."""
    most = 9_000 if profile.medium == "electric" else 400
    return int(fraction(seed, meter.id, "opening") * most * 100) * (MICRO // 100)


_PHANTOM = "eastron-sdm120"
