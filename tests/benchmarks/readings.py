"""Readings like those of an estate: registers that rise, power that moves."""

import random

from protocols.delivery.records import Quality, Reading

MINUTE_US = 60_000_000


def estate(devices: int, minutes: int, seed: int = 1) -> list[Reading]:
    """Return two readings per device and minute: a billed register with words, and power."""
    draw = random.Random(seed)
    registers = [draw.randrange(10**6) for _ in range(devices)]
    made: list[Reading] = []
    for minute in range(minutes):
        at_us = 1_790_000_000_000_000 + minute * MINUTE_US
        for device in range(devices):
            registers[device] += draw.randrange(4)
            name, count = f"e-{device}", registers[device]
            stamp = at_us + draw.randrange(2000) * 100
            words = count.to_bytes(4, "big")
            good = Quality.GOOD.value
            made.append(Reading(name, "energy_import", "kWh", -2, count, good, stamp, stamp, words))
            power = draw.randrange(3000)
            made.append(Reading(name, "active_power", "W", 0, power, good, stamp, stamp))
    return made
