"""Bills worked out a second time, in a few lines that share nothing with the service."""

import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

from devices.profile import load_profile
from devices.simulated.memory import MemoryLink
from devices.simulated.site import build_site, load_site
from devices.virtual_clock import VirtualClock
from tests.e2e.chain_processes import SITE_FILE

# struct formats of the four bytes, and counts per unit of measure
REGISTERS: Final = {
    "eastron-sdm120": (">f", 100),
    "eastron-sdm630": (">f", 100),
    "chint-dtsu666": (">f", 100),
    "acrel-adl400": (">I", 1),
    "xintai-water": ("<f", 1000),
}
ELECTRICITY: Final = (("0.4883", 0, 240), ("0.5383", 240, 400), ("0.7883", 400, None))
WATER: Final = (("2.07", 0, 180), ("4.07", 180, 260), ("6.07", 260, None))
WATER_FEES: Final = ("1.57", "1.36")
ZERO: Final = Fraction(0)

Tiers = Sequence[tuple[str, int, int | None]]


class Meters:
    """What the meters of the site show at any instant, asked of the model in this process."""

    def __init__(self) -> None:
        file = load_site(SITE_FILE)
        self._entries = {entry.id: entry for entry in file.meters}
        self._site = build_site(file)
        self._clock = VirtualClock(0)

    def profile(self, device: str) -> str:
        """Return which profile a device has."""
        return self._entries[device].profile

    def words(self, device: str, point: str, at_us: int) -> str:
        """Return the words of a point at an instant, in hex."""
        entry = self._entries[device]
        span = load_profile(entry.profile).span(point)
        link = MemoryLink(self._site.on_bus(entry.bus), self._clock)
        self._clock.at_us = at_us
        count = span.end - span.address
        answer = link.answer(entry.unit_id, span.function, span.address, count)
        return " ".join(f"{word:04x}" for word in answer)


def counts(profile: str, words_hex: str) -> int:
    """Return the register in counts, from the words alone."""
    form, per_unit = REGISTERS[profile]
    (value,) = struct.unpack(form, bytes.fromhex(words_hex))
    return round(Fraction(value) * per_unit)


def tiered(quantity: Fraction, tiers: Tiers, used_before: Fraction) -> list[tuple[str, Fraction]]:
    """Return (unit price, quantity) of each tier that is touched."""
    end = used_before + quantity
    parts = [
        (price, min(end, Fraction(high) if high else end) - max(used_before, Fraction(low)))
        for price, low, high in tiers
    ]
    return [(price, part) for price, part in parts if part > 0]


def electricity_fen(quantity: Fraction) -> list[int]:
    """Return the printed lines of a home's month: each line is rounded."""
    return [fen(Fraction(price) * part) for price, part in tiered(quantity, ELECTRICITY, ZERO)]


def water_fen(quantity: Fraction, used_before: Fraction) -> tuple[int, list[Fraction]]:
    """Return a home's total, rounded once, and its lines in fen before rounding."""
    lines = [
        100 * Fraction(price) * part
        for water, part in tiered(quantity, WATER, used_before)
        for price in (water, *WATER_FEES)
    ]
    return fen(sum(lines, ZERO) / 100), lines


def invoice_price(quantity: str, amount: str) -> Fraction:
    """Return the supplier's unit price in yuan, never above the invoice: cut at 8 decimals."""
    return Fraction(int(Fraction(amount) / Fraction(quantity) * 10**8), 10**8)


def shared(total_fen: int, areas: Mapping[str, str]) -> dict[str, int]:
    """Share fen by area: the largest remainders take what is left over, ties by premise."""
    whole = sum(map(Fraction, areas.values()), ZERO)
    exact = {name: total_fen * Fraction(area) / whole for name, area in areas.items()}
    parts = {name: int(part) for name, part in exact.items()}
    left = total_fen - sum(parts.values())
    for name in sorted(exact, key=lambda name: (parts[name] - exact[name], name))[:left]:
        parts[name] += 1
    return parts


def fen(yuan: Fraction) -> int:
    """Return whole fen, half away from zero; nothing here is below zero."""
    return int(yuan * 100 + Fraction(1, 2))
