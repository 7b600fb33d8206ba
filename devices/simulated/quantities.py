"""What a simulated meter would show for each of its points: physics on top of a load."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from devices.data_point import DataPoint
from devices.simulated.load import MICRO, Era, Load, fraction

# The count a point shows at an instant: value = count * 10**exponent, on the meter's own side.
Source = Callable[[int], int]

_PHASES = ("l1", "l2", "l3")
_DAY_US = 86_400_000_000
_PIPE_AREA_M2 = 0.000314
_FULL_PIPE = 0x00AA
_VALVE_OPEN = 0x0001
_WATER_TOTALS = ("total_positive", "total_net")
_IMPORTS = ("energy_import", "energy_total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What makes one meter differ from its neighbours."""

    seed: int
    device: str
    opening: int
    ct: int
    three_phase: bool

    def of(self, topic: str) -> float:
        """A fixed number in [0, 1) for a topic."""
        return fraction(self.seed, self.device, topic)


def source(point_id: str, point: DataPoint, load: Load, traits: Traits, era: Era) -> Source:
    """The count of a point at any instant; one that nobody knows how to move stands still."""
    base, _, phase = point_id.rpartition("_")
    share = 1.0
    if base and phase in _PHASES:
        share = _share(traits, phase)
        point_id = base
    if point_id in _IMPORTS or point_id in _WATER_TOTALS:
        return _register(load, traits, step=10 ** (6 + point.exponent), share=share)
    value = _value(point_id, load, traits, era, share=share) or _still(point)
    factor = 10.0**-point.exponent / (traits.ct if "ct" in point.multiply_by else 1)
    return lambda at_us: math.floor(value(at_us) * factor + 0.5)


def _register(load: Load, traits: Traits, *, step: int, share: float) -> Source:
    total, opening, ct = load.total, traits.opening, traits.ct
    if share == 1.0 and ct == 1:
        return lambda at_us: (opening + total(at_us)) // step
    parts = round(share * MICRO)
    return lambda at_us: (opening + total(at_us) // ct) * parts // MICRO // step


def _value(
    name: str, load: Load, traits: Traits, era: Era, *, share: float
) -> Callable[[int], float] | None:
    known = _electric(load, traits, share=share) | _water(load, traits, era)
    return known.get(name)


def _still(point: DataPoint) -> Callable[[int], float]:
    # the middle of what is plausible, else one: never the 0 of a register that is not there
    middle = 1.0 if point.range is None else float(point.range.min + point.range.max) / 2
    return lambda _: middle


def _electric(load: Load, traits: Traits, *, share: float) -> dict[str, Callable[[int], float]]:
    power_factor = 0.9 + 0.08 * traits.of("power factor")
    reactive_share = math.sqrt(1 / power_factor**2 - 1)
    rest_v, turn = 228 + 5 * traits.of("voltage"), math.tau * traits.of("phase")
    spread = 1.0 if not traits.three_phase else 3.0

    def watts(at_us: int) -> float:
        # Micro-kWh per hour are milliwatts.
        return load.per_hour(at_us) / 1000 * share

    def volts(at_us: int) -> float:
        day = math.tau * (at_us % _DAY_US) / _DAY_US
        return rest_v + 2.5 * math.cos(day) + 0.8 * math.sin(37 * day + turn)

    def amperes(at_us: int) -> float:
        # A three-phase meter asked for one phase has its share already.
        phases = spread if share == 1.0 else 1.0
        return watts(at_us) / power_factor / volts(at_us) / phases

    def hertz(at_us: int) -> float:
        return 50 + 0.02 * math.sin(math.tau * 96 * (at_us % _DAY_US) / _DAY_US)

    return {
        "power": watts,
        "active_power": watts,
        "apparent_power": lambda at_us: watts(at_us) / power_factor,
        "reactive_power": lambda at_us: watts(at_us) * reactive_share,
        "power_factor": lambda _: power_factor,
        "voltage": volts,
        "current": amperes,
        "frequency": hertz,
        "energy_export": lambda _: 0.0,
        "ct_ratio": lambda _: float(traits.ct),
        "pt_ratio": lambda _: 1.0,
        "energy_total_mode": lambda _: 2.0,
    }


def _water(load: Load, traits: Traits, era: Era) -> dict[str, Callable[[int], float]]:
    warmth = 14 + 3 * traits.of("temperature")

    def cubic_metres_per_hour(at_us: int) -> float:
        return load.per_hour(at_us) / MICRO

    return {
        "flow_rate": cubic_metres_per_hour,
        "velocity": lambda at_us: cubic_metres_per_hour(at_us) / 3600 / _PIPE_AREA_M2,
        "total_negative": lambda _: 0.0,
        "remaining": lambda _: 0.0,
        "pressure": lambda at_us: 0.34 - 0.02 * min(cubic_metres_per_hour(at_us), 3.0),
        "temperature": lambda _: warmth,
        "temp_supply": lambda _: warmth,
        "temp_return": lambda _: warmth,
        "fluid_sound_speed": lambda _: 1466.0,
        "battery": lambda at_us: max(3.0, 3.62 - (at_us - era.start_us) / _DAY_US / 5000),
        "pipe_status": lambda _: float(_FULL_PIPE),
        "valve_status": lambda _: float(_VALVE_OPEN),
        "error_bits": lambda _: 0.0,
        "signal_quality": lambda _: float(0x035A),
        "working_time": lambda at_us: max(0.0, (at_us - era.start_us) / 1e6),
    }


def _share(traits: Traits, phase: str) -> float:
    weights = {name: 0.8 + 0.4 * traits.of(f"share {name}") for name in _PHASES}
    return weights[phase] / sum(weights.values())
