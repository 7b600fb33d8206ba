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


class Moving:
    """An estate whose minutes are made one after the other, for runs that no list could hold."""

    def __init__(self, devices: int, seed: int = 1) -> None:
        self._draw = random.Random(seed)
        self._registers = [self._draw.randrange(10**6) for _ in range(devices)]

    def minute(self, number: int) -> list[Reading]:
        """Return a minute's two readings per device, with the monotonic clock of one boot."""
        draw, good = self._draw, Quality.GOOD.value
        made: list[Reading] = []
        for device in range(len(self._registers)):
            self._registers[device] += draw.randrange(4)
            name, count = f"e-{device}", self._registers[device]
            since = number * MINUTE_US + draw.randrange(2000) * 100
            at = 1_790_000_000_000_000 + since
            words = count.to_bytes(4, "big")
            made.append(Reading(name, "energy_import", "kWh", -2, count, good, at, since, words))
            power = draw.randrange(3000)
            made.append(Reading(name, "active_power", "W", 0, power, good, at, since))
        return made
