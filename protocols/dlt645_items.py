"""What the data identifiers of DL/T 645-2007 and -1997 stand for: name, digits, unit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """A quantity of `size` BCD bytes with `places` decimals; `repeats` in a block."""

    name: str
    size: int
    places: int
    uom: str
    signed: bool = False
    block: bool = False


def item_2007(di: int) -> Item | None:
    """The quantity of a four-byte identifier (2007, annex A), None if it is not known."""
    group, kind, part, last = di >> 24, di >> 16 & 0xFF, di >> 8 & 0xFF, di & 0xFF
    if group == 0 and kind in _ENERGY and last <= _SETTLEMENTS:
        name, uom, signed = _ENERGY[kind]
        rate = "" if part == 0 else f"_rate_{part}"
        if part > _RATES and part != _BLOCK:
            return None
        when = "" if last == 0 else f"_settlement_{last}"
        return Item(
            f"{name}{'' if part == _BLOCK else rate}{when}", 4, 2, uom, signed, part == _BLOCK
        )
    if di in _SINGLE:
        return _SINGLE[di]
    if group == _VARIABLES and kind in _INSTANT and last == 0:
        item = _INSTANT[kind]
        phases = _PHASES if item.total else _PHASES[1:]
        names = ("", "_a", "_b", "_c")
        if part == _BLOCK or part in phases:
            phase = "" if part == _BLOCK else names[part]
            return Item(
                item.name + phase, item.size, item.places, item.uom, item.signed, part == _BLOCK
            )
    return None


def item_1997(di: int) -> Item | None:
    """The quantity of a two-byte identifier (1997, annex A), None if it is not known."""
    if di in _SINGLE_1997:
        return _SINGLE_1997[di]
    high, low = di >> 8, di & 0xFF
    # 90/91 now, 94/95 last month, 98/99 the month before; odd is reactive.
    month = {0x90: "", 0x94: "_last_month", 0x98: "_month_before_last"}.get(high & 0xFE)
    way = {1: "import", 2: "export"}.get(low >> 4)
    if month is None or way is None:
        return None
    kind, uom = ("reactive_energy", "kvarh") if high & 1 else ("energy", "kWh")
    rate = low & 0x0F
    part = "" if rate in (0, _BLOCK_1997) else f"_rate_{rate}"
    return Item(f"{kind}_{way}{part}{month}", 4, 2, uom, block=rate == _BLOCK_1997)


@dataclass(frozen=True, slots=True)
class _Instant:
    name: str
    size: int
    places: int
    uom: str
    signed: bool
    total: bool


_BLOCK = 0xFF
_BLOCK_1997 = 0x0F
_RATES = 63
_SETTLEMENTS = 12
_VARIABLES = 2
_PHASES = (0, 1, 2, 3)
_ENERGY = {
    0: ("energy_combined", "kWh", True),
    1: ("energy_import", "kWh", False),
    2: ("energy_export", "kWh", False),
    3: ("reactive_energy_combined_1", "kvarh", True),
    4: ("reactive_energy_combined_2", "kvarh", True),
    5: ("reactive_energy_quadrant_1", "kvarh", False),
    6: ("reactive_energy_quadrant_2", "kvarh", False),
    7: ("reactive_energy_quadrant_3", "kvarh", False),
    8: ("reactive_energy_quadrant_4", "kvarh", False),
    9: ("apparent_energy_import", "kVAh", False),
    10: ("apparent_energy_export", "kVAh", False),
}
_INSTANT = {
    1: _Instant("voltage", 2, 1, "V", signed=False, total=False),
    2: _Instant("current", 3, 3, "A", signed=True, total=False),
    3: _Instant("power", 3, 4, "kW", signed=True, total=True),
    4: _Instant("reactive_power", 3, 4, "kvar", signed=True, total=True),
    5: _Instant("apparent_power", 3, 4, "kVA", signed=True, total=True),
    6: _Instant("power_factor", 2, 3, "1", signed=True, total=True),
    7: _Instant("phase_angle", 2, 1, "deg", signed=False, total=False),
}
_SINGLE = {
    0x02800001: Item("neutral_current", 3, 3, "A", signed=True),
    0x02800002: Item("frequency", 2, 2, "Hz"),
}
_SINGLE_1997 = {
    0xB611: Item("voltage_a", 2, 0, "V"),
    0xB612: Item("voltage_b", 2, 0, "V"),
    0xB613: Item("voltage_c", 2, 0, "V"),
    0xB621: Item("current_a", 2, 2, "A"),
    0xB622: Item("current_b", 2, 2, "A"),
    0xB623: Item("current_c", 2, 2, "A"),
    0xB630: Item("power", 3, 4, "kW"),
    0xB631: Item("power_a", 3, 4, "kW"),
    0xB632: Item("power_b", 3, 4, "kW"),
    0xB633: Item("power_c", 3, 4, "kW"),
    0xB650: Item("power_factor", 2, 3, "1"),
}
